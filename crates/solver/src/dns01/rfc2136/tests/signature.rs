//! The signature of an answer: what is refused, and what the signature covers.

use super::*;

#[tokio::test]
async fn an_unsigned_answer_is_refused() {
    let primary =
        Primary { after: |answer| answer.signature = None, ..Primary::answering(ResponseCode::NoError) };
    assert_eq!(
        primary.text().await,
        "the answer of it is not signed, so it may be forged; check that it knows the key Key.test, and that nothing \
         in between removes signatures"
    );
}

#[tokio::test]
async fn a_tampered_answer_is_refused() {
    let tampered: [fn(&mut Message); 3] = [
        |answer| answer.metadata.response_code = ResponseCode::NoError,
        |answer| answer.metadata.authoritative = true,
        |answer| answer.signature.as_mut().unwrap().data.mac[0] ^= 1,
    ];
    for after in tampered {
        let primary = Primary { after, ..Primary::answering(ResponseCode::Refused) };
        assert_eq!(
            primary.text().await,
            "the signature of it is invalid, so its answer may be forged; check that the secret of the key Key.test is the \
             one of its configuration"
        );
    }
}

#[tokio::test]
async fn an_answer_signed_with_another_key_is_refused() {
    let changed: [fn(&mut Message); 2] = [
        |answer| answer.signature.as_mut().unwrap().name = Name::from_ascii("other.test.").unwrap(),
        |answer| answer.signature.as_mut().unwrap().data.algorithm = TsigAlgorithm::HmacSha1,
    ];
    for after in changed {
        let primary = Primary { after, ..Primary::answering(ResponseCode::NoError) };
        let text = "the answer of it is signed with a different key than Key.test, so it may be forged";
        assert_eq!(primary.text().await, text);
    }
}

#[tokio::test]
async fn an_answer_to_another_request_is_refused() {
    // Like an answer recorded earlier: the MAC is valid, but covers the MAC of another request.
    let primary = Primary::answering(ResponseCode::NoError);
    let mut world = World::new().await;
    let key = key(Algorithm::Sha256);
    let other = key.clone();
    world.serve(
        2,
        Arc::new(move |bytes, _| {
            let id = Message::from_vec(bytes).unwrap().metadata.id;
            let mut answer = Message::response(id, OpCode::Update);
            primary.sign(&mut answer, &other, &[7; 32]);
            Some(answer.to_vec().unwrap())
        }),
    );
    let error = present(&settings(&world, Some(key)), &record("a.test")).await.unwrap_err();
    assert!(matches!(error, Error::WrongMac { .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_signed_at_another_time_is_refused() {
    let primary = Primary { clock: NOW - 300, ..Primary::answering(ResponseCode::NoError) };
    assert_eq!(primary.present().await, Ok(()));
    let primary = Primary { clock: NOW - 301, ..primary };
    assert_eq!(
        primary.text().await,
        "the answer of it was signed at a different time: its clock is 5 minutes behind ours, but at most 5 minutes \
         are accepted; set the clocks"
    );
}

#[tokio::test]
async fn more_in_an_answer_is_covered_by_its_mac() {
    let primary = Primary {
        before: |answer| {
            let name = Name::from_ascii("a.test.").unwrap();
            let data = RData::TXT(TXT::new(vec!["more".to_owned()]));
            answer.add_additional(DnsRecord::from_rdata(name, 1, data));
        },
        ..Primary::answering(ResponseCode::NoError)
    };
    assert_eq!(primary.present().await, Ok(()));
}
