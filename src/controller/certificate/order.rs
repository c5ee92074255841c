//! The calls to the CA, in the order of RFC 8555 section 7.4.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;

use super::held::OrderKey;
use super::work::ReconcileCertificate;
use crate::controller::caa;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::issuer_record::secrets_namespace;
use crate::controller::presenter::{self, RefusedRoutes};
use certwright_acme::{Account, AcmeError, Authorization, Challenge, ChallengeType, NewOrder};
use certwright_api::{ChallengeStatus, ChallengeWay, CsrSignatureHash, DnsPersist01Solver};
use certwright_core::chain_choice::ChainChoice;
use certwright_core::issuance::{
    CaaQuestion, Challenged, Download, KeyOfOrder, Outcome, Request, Unseen, ValueCount,
};
use certwright_core::records;
use certwright_pki::{Chain, SignatureHash, certificate_signing_request};
use certwright_runtime::clock;
use certwright_solver::http01::SelfCheck;

/// The number of authorizations of an order that are read concurrently.
const READS: usize = 8;

impl ReconcileCertificate {
    pub(super) async fn check_caa(
        &self,
        question: Box<CaaQuestion>,
        context: &Context,
    ) -> Result<Outcome, Error> {
        let answer = caa::answer(&self.account()?, &question, context).await;
        Ok(Outcome::CheckedCaa(question, answer))
    }

    pub(super) async fn place_order(&mut self, order: NewOrder) -> Result<Outcome, Error> {
        let account = self.account()?;
        let answer = account.new_order(&order).await;
        Ok(Outcome::OrderPlaced { asked: order, account: account.url().to_owned(), answer })
    }

    pub(super) async fn read_authorizations(&mut self, urls: &[String]) -> Result<Outcome, Error> {
        Ok(Outcome::AuthorizationsRead(read_all(&self.account()?, urls).await))
    }

    /// Records the challenges and the TXT records, then presents the answers.
    pub(super) async fn present(
        &mut self,
        challenged: Vec<Challenged>,
        context: &Context,
    ) -> Result<Outcome, Error> {
        let (issuer, account) = self.issuer()?;
        let secrets = secrets_namespace(issuer, &context.config.cluster_resource_namespace);
        let ambient = context.config.ambient_credentials.may_use(issuer.id.kind);
        let (located, mut failures) =
            presenter::located(context, &account, &challenged, secrets, ambient).await;
        let seen = self.seen.snapshot(context);
        self.state.begin_presentation(&seen, &challenged, located, clock::now());
        self.flush(context).await?;
        context.http01.answer(&self.certificate, &context.ledger_keys);
        failures.extend(presenter::present(context, &self.certificate, &challenged).await?);
        Ok(Outcome::Presented { challenged, failures })
    }

    pub(super) async fn self_check(&mut self, context: &Context) -> Result<Outcome, Error> {
        let account = self.account()?;
        if self.is_outdated(&account) {
            return Ok(Outcome::KeyChanged);
        }
        let status = &self.state.status;
        let challenges = &status.challenges;
        let refused = presenter::refused_routes(context, &self.namespace, &self.uid, challenges).await?;
        let rolled_over = self.in_use.issuer.as_ref().and_then(|issuer| issuer.account());
        let rolled_over = rolled_over.is_some_and(|acme| acme.last_key_rollover.is_some());
        let learned = self.state.learned();
        let settings = |challenge: &ChallengeStatus| {
            let challenged = learned.proof.challenged().iter().find(|one| one.url == challenge.url);
            challenged.map(|one| one.check.clone()).unwrap_or_default()
        };
        let checked = challenges.iter().map(|challenge| (challenge, settings(challenge)));
        let checks = checked.filter(|(_, check)| check.disabled != Some(true)).map(|(challenge, check)| {
            let expected = account.key_authorization(&challenge.token);
            let (refused, records, account) = (&refused, &status.dns_records, &account);
            async move {
                let seen = match (challenge.way, refused) {
                    (ChallengeWay::TxtRecord, _) => {
                        presenter::see(context, records, &expected).await.map(Seen::Record)
                    }
                    (ChallengeWay::PersistentRecord, _) => {
                        let persistent = learned.persistent(&challenge.url);
                        see_persistent(context, account, persistent, rolled_over).await.map(Seen::Persistent)
                    }
                    (ChallengeWay::HttpRoute, RefusedRoutes { http: Some(refused), .. })
                    | (ChallengeWay::TlsRoute, RefusedRoutes { tls: Some(refused), .. }) => {
                        Err(refused.clone())
                    }
                    (ChallengeWay::HttpRoute | ChallengeWay::Ingress | ChallengeWay::EditedIngress, _) => {
                        let self_check = context.self_checks.of(&check.nameservers);
                        see_response(self_check, challenge, &expected).await.map(|()| Seen::Response)
                    }
                    (ChallengeWay::TlsRoute | ChallengeWay::FrontProxy, _) => {
                        let self_check = context.self_checks.of(&check.nameservers);
                        let remedy = remedy(context, challenge.way);
                        see_handshake(self_check, challenge, &expected, &remedy)
                            .await
                            .map(|()| Seen::Response)
                    }
                };
                seen.map_err(|words| Unseen {
                    challenge: challenge.url.clone(),
                    typ: ChallengeType::from(challenge.type_.as_str()),
                    words,
                    unserved: false,
                    retry_after: None,
                })
            }
        });
        let (mut failures, mut counts, mut persist_until) = (Vec::new(), Vec::new(), None);
        for seen in futures::future::join_all(checks).await {
            match seen {
                Ok(Seen::Record(count)) => counts.push(count),
                Ok(Seen::Persistent(until)) => persist_until = persist_until.into_iter().chain(until).min(),
                Ok(Seen::Response) => {}
                Err(failure) => failures.push(failure),
            }
        }
        Ok(Outcome::SelfChecked { failures, counts, persist_until })
    }

    /// Whether the account key has changed since its records were presented. The CA validates with the current key of the
    /// account.
    fn is_outdated(&self, account: &Account) -> bool {
        records::are_outdated(&self.state.status, &account.thumbprint())
    }

    /// Tells the CA to validate challenges: all of them, even if one call fails.
    pub(super) async fn answer(&mut self, challenges: &[String]) -> Result<Outcome, Error> {
        let account = self.account()?;
        if self.state.learned().told.is_empty() && self.is_outdated(&account) {
            return Ok(Outcome::KeyChanged);
        }
        let answers = futures::future::join_all(challenges.iter().map(|url| account.answer(url))).await;
        Ok(Outcome::Answered(challenges.iter().cloned().zip(answers).collect()))
    }

    pub(super) async fn finalize(&mut self, url: &str, request: &Request) -> Result<Outcome, Error> {
        let (issuer, account) = self.issuer()?;
        let key = match self.key_of_order(&request.key)? {
            OrderKey::Own(key) => key,
            OrderKey::Elsewhere(request) => {
                return Ok(Outcome::Finalized(account.finalize(url, &request.der).await));
            }
        };
        let hash = match issuer.spec.csr_signature_hash {
            Some(CsrSignatureHash::Sha256) => SignatureHash::Sha256,
            Some(CsrSignatureHash::MatchKey) | None => SignatureHash::MatchKey,
        };
        match certificate_signing_request(&key, &request.subject, hash) {
            Ok(request) => Ok(Outcome::Finalized(account.finalize(url, &request).await)),
            Err(error) => Ok(Outcome::Unsignable(error.to_string())),
        }
    }

    /// Downloads the certificate, chooses the chain and checks it.
    pub(super) async fn download(&mut self, url: &str, request: &Request) -> Result<Outcome, Error> {
        let (issuer, account) = self.issuer()?;
        let key = self.key_of_order(&request.key)?;
        let chosen = choose_chain(&account, url, issuer.spec.preferred_chain.as_deref()).await;
        Ok(Outcome::Downloaded(chosen.map(|(pem, not_offered)| {
            let (public_key, now) = (key.public_key_der(), self.at_ca(clock::now()));
            let check = |chain: &Chain| chain.check_for(public_key, &request.subject, now);
            let chain = Chain::parse_pem(pem.as_bytes()).and_then(|chain| check(&chain).map(|()| chain));
            Download { chain, not_offered }
        })))
    }

    /// Deactivates authorizations that are still pending, so that they do not count against the account. If that fails, they
    /// expire at the CA.
    pub(super) async fn give_up_authorizations(&self, authorizations: &[String]) {
        let Some(account) = &self.in_use.account else { return };
        let calls = authorizations.iter().map(|url| account.deactivate_authorization(url));
        for error in futures::future::join_all(calls).await.into_iter().filter_map(Result::err) {
            tracing::debug!(%error, "could not deactivate a pending authorization");
        }
    }

    /// The key of this issuance.
    pub(super) fn key_of_order(&self, key: &KeyOfOrder) -> Result<OrderKey, Error> {
        let stored = match key {
            KeyOfOrder::Elsewhere(request) => return Ok(OrderKey::Elsewhere(request.clone())),
            KeyOfOrder::Generated => &self.next_key,
            KeyOfOrder::Current => &self.current_key,
        };
        stored.clone().map(OrderKey::Own).ok_or(Error::Missing("the private key of the order"))
    }
}

/// An answer to a challenge that the self-check has seen.
enum Seen {
    /// Over HTTP, or in a TLS handshake.
    Response,
    /// A TXT record, and how many there are beside it.
    Record(ValueCount),
    /// A TXT record that is there permanently, and when it ends.
    Persistent(Option<Timestamp>),
}

/// Whether the response is there, or what is wrong.
async fn see_response(
    self_check: Result<Arc<SelfCheck>, String>,
    challenge: &ChallengeStatus,
    expected: &str,
) -> Result<(), String> {
    let seen = self_check?.check(&challenge.name, &challenge.token, expected).await;
    seen.map_err(|failure| failure.to_string())
}

/// Whether the answer is in the TLS handshake, or what is wrong.
async fn see_handshake(
    self_check: Result<Arc<SelfCheck>, String>,
    challenge: &ChallengeStatus,
    expected: &str,
    remedy: &str,
) -> Result<(), String> {
    let seen = self_check?.check_handshake(&challenge.name, expected, remedy).await;
    seen.map_err(|failure| failure.to_string())
}

/// What must be done so that handshakes lead to the operator.
fn remedy(context: &Context, way: ChallengeWay) -> String {
    if way == ChallengeWay::TlsRoute {
        return "check that the Gateway has no other listener and no other TLSRoute for this name; if it must have one, leave out \
                gatewayTLSRoute, and let a proxy in front forward acme-tls/1"
            .to_owned();
    }
    let port = context.config.responder_ports.tls_alpn01;
    let service = context.config.responder_service.as_ref();
    let operator = service.map_or_else(
        || "the operator".to_owned(),
        |name| format!("the Service {name} in namespace {}", context.config.namespace),
    );
    format!(
        "let what listens there forward connections that offer acme-tls/1 (ALPN) to port {port} of {operator}"
    )
}

/// When the record ends that a person set for this challenge, or what is wrong.
async fn see_persistent(
    context: &Context,
    account: &Account,
    persistent: Option<(String, &Challenge, &DnsPersist01Solver)>,
    rolled_over: bool,
) -> Result<Option<Timestamp>, String> {
    let Some((name, challenge, solver)) = persistent else {
        return Err("the challenge is missing from the authorization".to_owned());
    };
    let seen = presenter::persistent(context, account, &name, challenge, solver, rolled_over).await;
    seen.map_err(|words| format!("{name}: {words}"))
}

async fn read_all(account: &Account, urls: &[String]) -> Result<Vec<(String, Authorization)>, AcmeError> {
    let read =
        |url: String| async move { account.authorization(&url).await.map(|answer| (url, answer.value)) };
    let reads = futures::stream::iter(urls.to_vec()).map(read).buffered(READS);
    let mut authorizations: Vec<_> = reads.try_collect().await?;
    // A CA may list them in a different order each time; what is created from them must stay the same.
    authorizations.sort_by_key(|(_, authorization): &(String, Authorization)| authorization.name());
    Ok(authorizations)
}

/// The chain to use, and the preferred issuer and the offered ones if none of them is the preferred one.
async fn choose_chain(
    account: &Account,
    url: &str,
    preferred: Option<&str>,
) -> Result<(String, Option<(String, BTreeSet<String>)>), AcmeError> {
    let served = account.certificate(url).await?.value;
    let mut choice = ChainChoice::new(preferred);
    if choice.is_it(&served.pem) {
        return Ok((served.pem, None));
    }
    for alternate in &served.alternates {
        let alternate = account.certificate(alternate).await?.value;
        if choice.is_it(&alternate.pem) {
            return Ok((alternate.pem, None));
        }
    }
    Ok((served.pem, choice.not_offered()))
}
