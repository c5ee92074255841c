//! The calls to the CA, in the order of RFC 8555 section 7.4.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt};

use super::renewal_info::new_order;
use super::work::ReconcileCertificate;
use crate::controller::caa;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::issuer_record::secrets_namespace;
use crate::controller::presenter;
use crate::runtime::clock;
use certwright_acme::{Account, AcmeError, Authorization, NewOrder};
use certwright_api::{ChallengeWay, CsrSignatureHash, IssuerKind};
use certwright_core::issuance::{CaaQuestion, Challenged, Download, Outcome, Unseen, challenge_type};
use certwright_core::{records, reissue, revocation};
use certwright_pki::{Chain, PrivateKey, SignatureHash, certificate_signing_request};

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
        let answer = new_order(&account, order.clone()).await;
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
        let account = self.account()?;
        let issuer = self.issuer.clone().ok_or(Error::Bug("there is an account, and no issuer"))?;
        let secrets = secrets_namespace(&issuer, &context.config.namespace);
        let cluster_wide = issuer.id.kind == IssuerKind::ClusterIssuer;
        let (located, mut failures) =
            presenter::located(context, &account, &challenged, secrets, cluster_wide).await;
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
        let checks = challenges.iter().map(|challenge| {
            let expected = account.key_authorization(&challenge.token);
            let (refused, records) = (&refused, &status.dns_records);
            async move {
                let seen = match (challenge.way, refused) {
                    (ChallengeWay::TxtRecord, _) => {
                        presenter::see(context, records, &expected).await.map(Some)
                    }
                    (ChallengeWay::HttpRoute, Some(refused)) => Err(refused.clone()),
                    (ChallengeWay::HttpRoute | ChallengeWay::Ingress | ChallengeWay::EditedIngress, _) => {
                        let seen =
                            context.self_check.check(&challenge.name, &challenge.token, &expected).await;
                        seen.map(|_| None).map_err(|failure| failure.to_string())
                    }
                };
                let typ = challenge_type(challenge.way);
                seen.map_err(|words| Unseen { challenge: challenge.url.clone(), typ, words })
            }
        });
        let (mut failures, mut counts) = (Vec::new(), Vec::new());
        for seen in futures::future::join_all(checks).await {
            match seen {
                Ok(count) => counts.extend(count),
                Err(failure) => failures.push(failure),
            }
        }
        Ok(Outcome::SelfChecked { failures, counts })
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

    pub(super) async fn finalize(&mut self, url: &str) -> Result<Outcome, Error> {
        let (account, key) = (self.account()?, self.key_of_order()?);
        let wanted = self.wanted.as_ref().map_err(|_| Error::Bug("a spec that cannot be honoured"))?;
        let hash = match self.issuer.as_ref().and_then(|issuer| issuer.spec.csr_signature_hash) {
            Some(CsrSignatureHash::Sha256) => SignatureHash::Sha256,
            Some(CsrSignatureHash::MatchKey) | None => SignatureHash::MatchKey,
        };
        match certificate_signing_request(&key, &wanted.subject, hash) {
            Ok(request) => Ok(Outcome::Finalized(account.finalize(url, &request).await)),
            Err(error) => Ok(Outcome::Unsignable(error.to_string())),
        }
    }

    /// Downloads the certificate, chooses the chain and checks it.
    pub(super) async fn download(&mut self, url: &str) -> Result<Outcome, Error> {
        let (account, key) = (self.account()?, self.key_of_order()?);
        let wanted = self.wanted.as_ref().map_err(|_| Error::Bug("a spec that cannot be honoured"))?;
        let preferred = self.issuer.as_ref().and_then(|issuer| issuer.spec.preferred_chain.clone());
        let chosen = choose_chain(&account, url, preferred.as_deref()).await;
        Ok(Outcome::Downloaded(chosen.map(|(pem, offered)| {
            let check = |chain: &Chain| chain.check(&key, &wanted.subject, self.at_ca(clock::now()));
            let chain = Chain::parse_pem(pem.as_bytes()).and_then(|chain| check(&chain).map(|()| chain));
            Download { chain, not_offered: preferred.zip(offered) }
        })))
    }

    /// Deactivates authorizations that are still pending, so that they do not count against the account. If that fails, they
    /// expire at the CA.
    pub(super) async fn give_up_authorizations(&self, authorizations: &[String]) {
        let Some(account) = &self.account else { return };
        let calls = authorizations.iter().map(|url| account.deactivate_authorization(url));
        for error in futures::future::join_all(calls).await.into_iter().filter_map(Result::err) {
            tracing::debug!(%error, "could not deactivate a pending authorization");
        }
    }

    /// The key of this issuance: the one generated for it, or the current one if it is reused.
    pub(super) fn key_of_order(&self) -> Result<PrivateKey, Error> {
        let wanted = self.wanted.as_ref().map_err(|_| Error::Bug("a spec that cannot be honoured"))?;
        let made = self.next_key.clone().filter(|key| key.algorithm() == wanted.key);
        let revoked = revocation::reason_of(&self.state.status, &self.secret_view);
        let reused = reissue::reuses_key(wanted, &self.secret_view, revoked);
        let current = || self.current_key.clone().filter(|_| reused);
        made.or_else(current).ok_or(Error::Bug("an order goes on without its private key"))
    }
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

/// The chain that has the preferred issuer, else the one that the CA serves, and with it the issuers of all that it offers.
async fn choose_chain(
    account: &Account,
    url: &str,
    preferred: Option<&str>,
) -> Result<(String, Option<BTreeSet<String>>), AcmeError> {
    let served = account.certificate(url).await?.value;
    let Some(name) = preferred.filter(|name| !name.is_empty()) else { return Ok((served.pem, None)) };
    let mut offered = BTreeSet::new();
    let mut has = |pem: &str| {
        let issuers =
            Chain::parse_pem(pem.as_bytes()).map(|chain| chain.issuers().to_vec()).unwrap_or_default();
        offered.extend(issuers);
        offered.contains(name)
    };
    if has(&served.pem) {
        return Ok((served.pem, None));
    }
    for alternate in &served.alternates {
        let alternate = account.certificate(alternate).await?.value;
        if has(&alternate.pem) {
            return Ok((alternate.pem, None));
        }
    }
    Ok((served.pem, Some(offered)))
}
