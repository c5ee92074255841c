//! The calls to the CA, in the order of RFC 8555 section 7.4.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::runtime::events::EventType;
use tracing::info;

use super::Next;
use super::gather::Work;
use super::renewal_info::new_order;
use crate::acme::{
    Account, AcmeError, Answer, Authorization, AuthorizationStatus, Challenge, ChallengeStatus,
    ChallengeType, NewOrder, Order, OrderStatus,
};
use crate::api::{
    self, ChallengeStatus as RecordedChallenge, ChallengeWay, DnsRecordStatus, IssuerKind,
    certificate_reason as reason,
};
use crate::controller::conditions::sentence;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::issuer_record::account_secret;
use crate::controller::presenter;
use crate::core::disposition::Disposition;
use crate::core::issuance::{
    Challenged, Failure, IssuerView, Learned, SelfCheckResult, Unseen, altered, misplaced,
};
use crate::core::records;
use crate::core::renewal::whole_seconds;
use crate::pki::{Chain, PrivateKey, certificate_signing_request};
use crate::runtime::clock;

/// Authorizations of an order that are read at once.
const READS: usize = 8;

impl Work {
    /// Asks the CA what time it is.
    pub(super) async fn ask_time(&mut self, now: Timestamp, context: &Context) -> Result<Next, Error> {
        let Some(account) = self.account.clone() else { return Ok(Next::Until(None)) };
        match account.ask_time().await {
            Ok(()) => Ok(Next::Step),
            Err(error) => self.refused(error, now, context).await,
        }
    }

    pub(super) async fn place_order(&mut self, now: Timestamp, context: &Context) -> Result<Next, Error> {
        let (Some(account), Ok(wanted)) = (self.account.clone(), &self.wanted) else {
            return Ok(Next::Until(None));
        };
        let profile = match &self.issuer_view {
            IssuerView::Ready { profile, .. } => profile.clone(),
            _ => None,
        };
        let not_after = self.lifetime().and_then(|lifetime| self.at_ca(now).checked_add(lifetime).ok());
        let not_after = not_after.map(whole_seconds);
        let order = NewOrder { identifiers: wanted.identifiers(), not_after, profile, replaces: None };
        let replaces = self.situation(context).replaces().map(str::to_owned);
        let (asked, profile) = (order.identifiers.clone(), order.profile.clone());
        match new_order(&account, order, replaces).await {
            Ok(answer) => {
                if let Some(failure) = misplaced(&answer.value, &asked, profile.as_deref()) {
                    return self.fail(failure, now, context).await;
                }
                let url = answer.location.clone().unwrap_or_default();
                info!(order = url, "placed an order");
                self.status.order = Some(api::OrderStatus {
                    url,
                    state: answer.value.status.to_string(),
                    expires: answer.value.expires.map(|time| Time(whole_seconds(time))),
                    created: Time(whole_seconds(now)),
                    account: account.url().to_owned(),
                    seal: None,
                });
                self.report_progress(reason::ORDERING, "The order is placed", now);
                self.see_order(answer, now);
                self.progress.stumbles = 0;
                Ok(Next::Step)
            }
            Err(error) => self.refused(error, now, context).await,
        }
    }

    pub(super) async fn read_order(&mut self, now: Timestamp, context: &Context) -> Result<Next, Error> {
        let (Some(account), Some(order)) = (self.account.clone(), self.status.order.clone()) else {
            return Ok(Next::Until(None));
        };
        match account.order(&order.url).await {
            Ok(answer) => {
                let before = self.learned().order.as_ref();
                if let Some(failure) = before.and_then(|before| altered(before, &answer.value)) {
                    return self.fail(failure, now, context).await;
                }
                self.see_order(answer, now);
                Ok(Next::Step)
            }
            Err(error) => self.refused(error, now, context).await,
        }
    }

    pub(super) async fn read_authorizations(
        &mut self,
        now: Timestamp,
        context: &Context,
    ) -> Result<Next, Error> {
        let (Some(account), Some(order)) = (self.account.clone(), self.learned().order.clone()) else {
            return Ok(Next::Until(None));
        };
        match read_all(&account, &order.authorizations).await {
            Ok(authorizations) => {
                self.learn().saw_authorizations(authorizations, now);
                Ok(Next::Step)
            }
            Err(error) => self.refused(error, now, context).await,
        }
    }

    /// Records the challenges and the TXT records, then puts the answers where the CA will look.
    pub(super) async fn present(
        &mut self,
        challenged: &[Challenged],
        now: Timestamp,
        context: &Context,
    ) -> Result<Next, Error> {
        let (Some(account), Some(issuer)) = (self.account.clone(), self.issuer.clone()) else {
            return Ok(Next::Until(None));
        };
        let secrets = account_secret(&issuer, &context.config.namespace).0;
        let cluster_wide = issuer.id.kind == IssuerKind::ClusterIssuer;
        let (located, mut failures) =
            presenter::located(context, &account, challenged, &secrets, cluster_wide).await;
        self.record(located, now);
        self.status.challenges =
            challenged.iter().map(|one| recorded(one, &self.status.challenges)).collect();
        // When it is tried again, what is said stands until there is something else to say.
        if self.learned().present_failed.is_none() && self.learned().presented_at.is_none() {
            self.report_progress(reason::ORDERING, "The challenges are being presented", now);
        }
        self.flush(context).await?;
        context.presenter.answer(&self.certificate, &context.ledger_keys);
        failures.extend(presenter::present(context, &self.certificate, challenged).await?);
        self.learn().saw_presented(challenged, failures, clock::now());
        Ok(Next::Step)
    }

    /// Takes the records that are needed into the ledger; those that are not needed any more are to be removed.
    fn record(&mut self, needed: Vec<DnsRecordStatus>, now: Timestamp) {
        let same = |one: &DnsRecordStatus, other: &DnsRecordStatus| {
            (&one.fqdn, &one.value, &one.solver) == (&other.fqdn, &other.value, &other.solver)
        };
        let ledger = &mut self.status.dns_records;
        let is_needed = |record: &DnsRecordStatus| needed.iter().any(|needed| same(needed, record));
        records::retire(ledger, |record| !is_needed(record), now);
        ledger.retain(|record| !is_needed(record));
        ledger.extend(needed);
    }

    pub(super) async fn self_check(&mut self, context: &Context) -> Result<Next, Error> {
        let Some(account) = self.account.clone() else { return Ok(Next::Until(None)) };
        if self.is_outdated(&account) {
            return Ok(Next::Step);
        }
        let challenges = &self.status.challenges;
        let refused = presenter::refused_routes(context, &self.namespace, &self.uid, challenges).await?;
        let checks = challenges.iter().map(|challenge| {
            let expected = account.key_authorization(&challenge.token);
            let (refused, records) = (&refused, &self.status.dns_records);
            async move {
                let words = match challenge.way {
                    ChallengeWay::TxtRecord => see_record(context, records, &expected).await,
                    ChallengeWay::HttpRoute if refused.is_some() => refused.clone(),
                    ChallengeWay::HttpRoute | ChallengeWay::Ingress | ChallengeWay::EditedIngress => {
                        let seen =
                            context.self_check.check(&challenge.name, &challenge.token, &expected).await;
                        seen.err().map(|failure| failure.to_string())
                    }
                }?;
                let typ = match challenge.way {
                    ChallengeWay::TxtRecord => ChallengeType::Dns01,
                    _ => ChallengeType::Http01,
                };
                Some(Unseen { challenge: challenge.url.clone(), typ, words })
            }
        });
        let failures: Vec<_> = futures::future::join_all(checks).await.into_iter().flatten().collect();
        self.learn().self_check = Some(SelfCheckResult { at: clock::now(), failures });
        Ok(Next::Step)
    }

    /// Whether the account has another key than when its records were presented. They are presented anew, for the CA goes
    /// by the key that the account has when it looks.
    fn is_outdated(&mut self, account: &Account) -> bool {
        let outdated = records::are_outdated(&self.status, &account.thumbprint());
        if outdated {
            self.learn().saw_withdrawn();
        }
        outdated
    }

    /// Tells the CA to look at challenges: at all of them, whatever becomes of one.
    pub(super) async fn answer(
        &mut self,
        challenges: &[String],
        now: Timestamp,
        context: &Context,
    ) -> Result<Next, Error> {
        let Some(account) = self.account.clone() else { return Ok(Next::Until(None)) };
        if self.learned().told.is_empty() && self.is_outdated(&account) {
            return Ok(Next::Step);
        }
        let calls = challenges.iter().map(|url| account.answer(url));
        let (mut answers, mut refusal) = (Vec::new(), None);
        for (url, answer) in challenges.iter().zip(futures::future::join_all(calls).await) {
            match answer {
                Ok(answer) => {
                    self.learn().saw_told(url, clock::now());
                    answers.push(answer);
                }
                Err(error) => refusal = Some(error),
            }
        }
        if let Some(error) = refusal {
            return self.refused(error, now, context).await;
        }
        self.progress.stumbles = 0;
        let learned = self.learn();
        answers.iter().for_each(|answer| see_challenge(learned, &answer.value));
        learned.retry_after = answers.iter().filter_map(|answer| answer.retry_after).max();
        // A CA that validated while it answered is asked for the order at once.
        if answers.iter().all(|answer| answer.value.status == ChallengeStatus::Valid) {
            learned.asked_at = None;
        }
        Ok(Next::Step)
    }

    pub(super) async fn finalize(&mut self, now: Timestamp, context: &Context) -> Result<Next, Error> {
        let (Some(account), Some(order), Ok(wanted)) =
            (self.account.clone(), self.learned().order.clone(), self.wanted.clone())
        else {
            return Ok(Next::Until(None));
        };
        let Some(key) = self.key_of_order() else { return Ok(Next::Until(None)) };
        // The order must be on record before the CA makes a certificate of it.
        if self.certificate.status.as_ref().and_then(|status| status.order.as_ref()).map(|order| &order.url)
            != self.status.order.as_ref().map(|order| &order.url)
        {
            self.flush(context).await?;
        }
        let request = match certificate_signing_request(&key, &wanted.subject) {
            Ok(request) => request,
            Err(error) => return self.fail(refused_here(&error), now, context).await,
        };
        match account.finalize(&order.finalize, &request).await {
            Ok(answer) => {
                let now = clock::now();
                self.learn().finalized = Some(now);
                self.progress.stumbles = 0;
                self.see_order(answer, now);
                self.leave_place(context);
                Ok(Next::Step)
            }
            Err(error) => self.refused(error, now, context).await,
        }
    }

    /// Fetches the certificate, chooses the chain and checks it.
    pub(super) async fn download(&mut self, now: Timestamp, context: &Context) -> Result<Next, Error> {
        let (Some(account), Ok(wanted)) = (self.account.clone(), self.wanted.clone()) else {
            return Ok(Next::Until(None));
        };
        let url = self.learned().order.as_ref().and_then(|order| order.certificate.clone());
        let (Some(url), Some(key)) = (url, self.key_of_order()) else {
            let message = "The CA says that the order is valid, but not where the certificate is".to_owned();
            let failure = Failure {
                reason: reason::CA_UNAVAILABLE,
                message,
                disposition: Disposition::Stumbled,
                retry_after: None,
            };
            return self.fail(failure, now, context).await;
        };
        let preferred = self.issuer.as_ref().and_then(|issuer| issuer.spec.preferred_chain.clone());
        let (pem, offered) = match choose_chain(&account, &url, preferred.as_deref()).await {
            Ok(chosen) => chosen,
            Err(error) => return self.refused(error, now, context).await,
        };
        let checked = Chain::parse_pem(pem.as_bytes())
            .and_then(|chain| chain.check(&key, &wanted.subject, self.at_ca(now)).map(|()| chain));
        match checked {
            Ok(chain) => {
                self.learn().chain = Some(chain);
                if let (Some(name), Some(offered)) = (preferred, offered) {
                    self.report_chain_not_offered(&name, &offered);
                }
                Ok(Next::Step)
            }
            Err(error) => {
                let message = format!(
                    "The CA sent a certificate that does not fit, and the Secret was left as it is: {error}"
                );
                let failure = Failure {
                    reason: reason::CERTIFICATE_REFUSED,
                    message,
                    disposition: Disposition::OrderLost,
                    retry_after: None,
                };
                self.fail(failure, now, context).await
            }
        }
    }

    /// The lifetime to ask the CA for, where the issuer has it told.
    pub(super) fn lifetime(&self) -> Option<SignedDuration> {
        let enabled = self.issuer.as_ref()?.spec.enable_duration_feature == Some(true);
        self.wanted.as_ref().ok()?.duration.filter(|_| enabled)
    }

    fn report_chain_not_offered(&mut self, name: &str, offered: &BTreeSet<String>) {
        let offered: Vec<&str> = offered.iter().map(String::as_str).collect();
        let note = format!(
            "The CA offers no chain with the issuer {name}, which preferredChain names, and the one that it serves is used. \
             The issuers in what it offers: {}",
            offered.join("; ")
        );
        self.tell(EventType::Warning, reason::PREFERRED_CHAIN_NOT_OFFERED, "Download", note);
    }

    /// Gives up the authorizations that are still pending, so that they do not count against the account. What cannot be
    /// given up expires at the CA by itself.
    pub(super) async fn give_up_authorizations(&mut self) {
        let (Some(account), Some(authorizations)) = (&self.account, &self.learned().authorizations) else {
            return;
        };
        // They were read before they were proved.
        let proved = |order: &Order| {
            matches!(order.status, OrderStatus::Ready | OrderStatus::Processing | OrderStatus::Valid)
        };
        if self.learned().order.as_ref().is_some_and(proved) {
            return;
        }
        let pending = authorizations
            .iter()
            .filter(|(_, authorization)| authorization.status == AuthorizationStatus::Pending);
        let calls = pending.map(|(url, _)| account.deactivate_authorization(url));
        for error in futures::future::join_all(calls).await.into_iter().filter_map(Result::err) {
            tracing::debug!(%error, "a pending authorization could not be given up");
        }
    }

    pub(super) fn order_is_invalid(&self) -> bool {
        self.learned().order.as_ref().is_some_and(|order| order.status == OrderStatus::Invalid)
    }

    /// The key of this issuance: the one that was made for it, or else the current one if it is used again.
    pub(super) fn key_of_order(&self) -> Option<PrivateKey> {
        let wanted = self.wanted.as_ref().ok()?;
        let made = self.next_key.clone().filter(|key| key.algorithm() == wanted.key);
        made.or_else(|| {
            self.current_key.clone().filter(|_| crate::core::reissue::reuses_key(wanted, &self.secret_view))
        })
    }

    fn see_order(&mut self, answer: Answer<Order>, now: Timestamp) {
        if let Some(order) = &mut self.status.order {
            order.state = answer.value.status.to_string();
        }
        self.learn().saw_order(answer.value, answer.retry_after, now);
    }
}

/// What keeps the record with this key authorization from being seen.
async fn see_record(context: &Context, records: &[DnsRecordStatus], expected: &str) -> Option<String> {
    let its = |record: &&DnsRecordStatus| record.removal.is_none() && record.key_authorization == expected;
    match records.iter().find(its) {
        Some(record) => presenter::visible(context, record).await.err(),
        None => Some("the TXT record is not on record in the status".to_owned()),
    }
}

/// Takes note of a challenge that the CA has just been told about.
fn see_challenge(learned: &mut Learned, seen: &Challenge) {
    let authorizations = learned.authorizations.iter_mut().flatten();
    let challenges = authorizations.flat_map(|(_, authorization)| &mut authorization.challenges);
    challenges.filter(|known| known.url == seen.url).for_each(|known| {
        (known.status, known.error) = (seen.status.clone(), seen.error.clone());
    });
}

async fn read_all(account: &Account, urls: &[String]) -> Result<Vec<(String, Authorization)>, AcmeError> {
    let read =
        |url: String| async move { account.authorization(&url).await.map(|answer| (url, answer.value)) };
    let reads = futures::stream::iter(urls.to_vec()).map(read).buffered(READS);
    let mut authorizations: Vec<_> = reads.try_collect().await?;
    // A CA may list them in another order each time; what is made from them shall stay the same.
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

/// A challenge as the status has it; `before` are those that it has so far.
fn recorded(challenged: &Challenged, before: &[RecordedChallenge]) -> RecordedChallenge {
    let before = before.iter().find(|before| before.url == challenged.url);
    let state = if challenged.processing { ChallengeStatus::Processing } else { ChallengeStatus::Pending };
    let (way, ingress) = presenter::recorded_way(&challenged.way);
    RecordedChallenge {
        name: challenged.name.clone(),
        type_: challenged.typ.to_string(),
        state: state.to_string(),
        reason: before.and_then(|before| before.reason.clone()),
        token: challenged.token.clone(),
        url: challenged.url.clone(),
        authorization: challenged.authorization.clone(),
        way,
        ingress,
        seal: None,
    }
}

fn refused_here(error: &dyn std::error::Error) -> Failure {
    Failure {
        reason: reason::INVALID_SPEC,
        message: sentence(&error.to_string()),
        disposition: Disposition::NotAllowed,
        retry_after: None,
    }
}
