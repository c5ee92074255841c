//! DNS messages and their signatures; providers' answers, accounts and keys; how name servers are written down.

use certwright_core::caa::{Property, RelevantSet, Remedy, Request, check};
use certwright_solver::dns01::{NameServer, acme_dns, fuzzing, rfc2136, webhook};
use secrecy::SecretString;

use crate::input::{Answer, line};
use crate::property::{message, refusal};

/// The longest name in DNS as text, with every byte escaped.
const LONGEST_NAME: usize = 255 * 4;

/// A message from a name server.
pub fn answer(data: &[u8]) {
    let Some(seen) = fuzzing::answer(data) else { return };
    for name in seen.names {
        assert!(name.len() <= LONGEST_NAME);
        message(&name);
    }
    assert!(seen.values.iter().map(Vec::len).sum::<usize>() <= data.len());
    assert!(seen.caa.iter().map(|record| record.tag.len() + record.value.len()).sum::<usize>() <= data.len());
    seen.failure.iter().for_each(|failure| message(failure));
}

/// CAA records of a domain, each in a line with a flag, a tag and a value.
pub fn caa(data: &[u8]) {
    let records = data.split(|byte| *byte == b'\n').filter_map(|line| {
        let (flag, rest) = line.split_first()?;
        let end = rest.iter().position(|byte| *byte == b' ')?;
        let (tag, value) = (String::from_utf8_lossy(&rest[..end]).into_owned(), rest[end + 1..].to_vec());
        Some(Property { critical: *flag == b'!', tag, value })
    });
    let mut set = RelevantSet { domain: "example.com".to_owned(), properties: records.collect() };
    let identities = ["ca.example".to_owned()];
    for (name, account) in [("example.com", Some("https://ca.example/1")), ("*.example.com", None)] {
        let request = Request { name, identities: &identities, account, method: Some("dns-01") };
        let Err(forbidden) = check(&request, &set) else { continue };
        message(&forbidden.words("ca.example", &[name]));
        message(&forbidden.what_to_do());
        match forbidden.remedy {
            Remedy::Add { tag, value } => {
                let added = Property { critical: false, tag: tag.to_owned(), value: value.into_bytes() };
                set.properties.push(added);
                assert_eq!(check(&request, &set), Ok(()), "the record that is to be added allows it");
            }
            Remedy::Remove => set.properties.iter_mut().for_each(|property| property.critical = false),
        }
    }
}

/// The answer to an update that was signed; the first byte says whether it is to be signed rightly.
pub fn tsig(data: &[u8]) {
    let Some((how, bytes)) = data.split_first() else { return };
    if let Some(Err(words)) = fuzzing::answer_to_update(bytes, how & 1 == 1) {
        message(&words);
    }
}

/// Name, algorithm, and the secret.
pub fn tsig_key(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut parts = text.splitn(3, '\n');
    let (name, algorithm) = (parts.next().unwrap_or_default(), parts.next());
    let secret = SecretString::from(parts.next().unwrap_or_default());
    match rfc2136::TsigKey::new(name, algorithm, &secret) {
        Ok(key) => message(&format!("{key:?}")),
        Err(error) => refusal(&error),
    }
}

/// How a flag or a spec names a name server.
pub fn name_server(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for text in text.split(',') {
        match text.parse::<NameServer>() {
            Ok(server) => assert_eq!(server.to_string().parse(), Ok(server)),
            Err(error) => refusal(&error),
        }
        match text.parse::<rfc2136::Server>() {
            Ok(server) => assert_eq!(server.to_string().parse(), Ok(server)),
            Err(error) => refusal(&error),
        }
    }
}

/// What a Secret holds for acme-dns, after a line with a name.
pub fn acme_dns_accounts(data: &[u8]) {
    let mut json = data;
    let domain = String::from_utf8_lossy(line(&mut json));
    match acme_dns::Accounts::from_json(json) {
        Ok(accounts) => {
            let _ = accounts.of(&domain);
            accounts
                .domains()
                .for_each(|domain| assert!(accounts.of(domain).is_some() || domain.ends_with('.')));
        }
        Err(error) => message(&error.to_string()),
    }
}

/// What an HTTP endpoint or acme-dns answers.
pub fn http_answer(data: &[u8]) {
    let Some(Answer { status, headers, body }) = Answer::of(data) else { return };
    fuzzing::refusal(status, &headers, &body).iter().for_each(|words| message(words));
}

/// What a webhook answers.
pub fn webhook_answer(data: &[u8]) {
    if let Err(error) = webhook::read(data, "uid-1") {
        refusal(&error);
    }
}
