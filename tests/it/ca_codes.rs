//! Every known error code of a CA, in every place where CAs send it: the code is the reason, the message quotes the CA verbatim,
//! and the code determines what happens next. The expectations are the same as those in docs/troubleshooting-ca.md.

mod retry;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::faults::{change_json, event, path, refusal, requests_to, steady, time};
use crate::common::{SOON, certificate, condition, issuer, of_issuer};
use anyhow::{Context, Result, ensure};
use certwright_cluster::proxy::{Action, RequestInfo};
use certwright_cluster::{Operator, Pebble, Proxy, TestNamespace};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

/// How many are tried concurrently; Pebble cannot handle many orders.
const AT_ONCE: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_code_is_the_reason_reaches_people_word_for_word_and_decides_what_happens_next() -> Result<()> {
    TestNamespace::with("codes", async |ns| {
        let pebble = &steady().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        let cases = CODES.iter().flat_map(|code| code.places().iter().map(move |place| (code, *place)));
        let tried = cases.enumerate().map(|(index, (code, place))| async move {
            let tried = Case { name: format!("code-{index}"), code, place }.try_it(ns, pebble).await;
            tried.with_context(|| format!("{} at {place:?}", code.code))
        });
        let tried: Vec<()> = stream::iter(tried).buffer_unordered(AT_ONCE).try_collect().await?;
        ensure!(tried.len() > 2 * CODES.len(), "only {} cases", tried.len());
        Ok(())
    })
    .await
}

#[test]
fn no_code_is_without_an_expectation() {
    let known: BTreeSet<(&str, &str)> =
        certwright_acme::CODES.iter().map(|known| (known.code, known.name)).collect();
    let expected: BTreeSet<(&str, &str)> = CODES.iter().map(|code| (code.code, code.reason)).collect();
    assert_eq!(
        known, expected,
        "the codes that are known, with their reasons, and those that this test tries"
    );
}

/// What happens after an error.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Next {
    /// The account cannot be used: nothing is retried until the issuer's spec changes, or somebody asks.
    AccountUnusable,
    /// The CA's operator must act: the issuer is retried every hour.
    CaOperatorMustAct,
    /// The CA does not allow what the Certificate requests: it backs off slowly.
    NotAllowed,
    /// Too many requests: the same order continues after a wait.
    TooFast,
    /// The CA failed temporarily: the same order continues, at first within seconds.
    Stumbled,
    /// Another order is placed after a wait.
    OrderAnew,
}

/// A code, and what follows from it.
struct Code {
    code: &'static str,
    reason: &'static str,
    follows: Follows,
}

/// What follows from a code.
#[derive(Clone, Copy)]
enum Follows {
    /// The same wherever the CA sends it.
    Always(Next),
    /// This if the error is about an account. If it is about an order or a validation, another order follows.
    OfAccount(Next),
}

const CODES: &[Code] = {
    use Follows::{Always, OfAccount};
    use Next::*;
    const fn code(code: &'static str, reason: &'static str, follows: Follows) -> Code {
        Code { code, reason, follows }
    }
    const fn word(word: &'static str, next: Next) -> Code {
        code(word, word, Always(next))
    }
    &[
        word("DEACTIVATED_ACCOUNT", AccountUnusable),
        word("REVOKED_ACCOUNT", AccountUnusable),
        word("DEACTIVATED_EXTERNAL_ACCOUNT", AccountUnusable),
        word("REVOKED_EXTERNAL_ACCOUNT", AccountUnusable),
        word("EXTERNAL_ACCOUNT_NOT_FOUND", AccountUnusable),
        word("BAD_SIGNATURE", AccountUnusable),
        code("accountDoesNotExist", "AccountDoesNotExist", Always(AccountUnusable)),
        word("EXPIRED_ACCOUNT", CaOperatorMustAct),
        word("EXPIRED_EXTERNAL_ACCOUNT", CaOperatorMustAct),
        word("PENDING_EXTERNAL_ACCOUNT", CaOperatorMustAct),
        word("SUSPENDED_ACCOUNT", CaOperatorMustAct),
        word("SUSPENDED_EXTERNAL_ACCOUNT", CaOperatorMustAct),
        word("NO_DOCUMENT_FORM_FOUND", CaOperatorMustAct),
        word("NO_VALID_ORGANIZATION_DOCUMENT_FOUND", CaOperatorMustAct),
        word("ORGANIZATION_IS_NOT_VALID", CaOperatorMustAct),
        word("OUT_OF_CREDIT", CaOperatorMustAct),
        code("externalAccountRequired", "ExternalAccountRequired", Always(CaOperatorMustAct)),
        code("userActionRequired", "UserActionRequired", Always(CaOperatorMustAct)),
        word("DOMAIN_NOT_ASSOCIATED", NotAllowed),
        word("DOMAIN_NOT_FOUND", NotAllowed),
        word("UNAUTHORIZED_DOMAIN", NotAllowed),
        word("INVALID_DOMAIN", NotAllowed),
        word("INVALID_DOMAIN_FOR_WILDCARD_PROFILE", NotAllowed),
        word("INVALID_PROFILE_FOR_WILDCARD", NotAllowed),
        word("NOT_SAME_ORGANIZATION", NotAllowed),
        word("INVALID_DNSCAA", NotAllowed),
        code("caa", "CAA", Always(NotAllowed)),
        code("rejectedIdentifier", "RejectedIdentifier", Always(NotAllowed)),
        code("unsupportedIdentifier", "UnsupportedIdentifier", Always(NotAllowed)),
        code("badCSR", "BadCSR", Always(NotAllowed)),
        code("badPublicKey", "BadPublicKey", Always(NotAllowed)),
        code("invalidProfile", "InvalidProfile", Always(NotAllowed)),
        word("RATE_LIMITED", TooFast),
        code("rateLimited", "RateLimited", Always(TooFast)),
        word("ACME_ORDER_NOT_READ", Stumbled),
        word("ACME_REQUEST_NOT_FOUND", Stumbled),
        word("ACME_ORDER_FINALIZE_ERROR", Stumbled),
        word("ACME_CA_ERROR", Stumbled),
        word("ACME_OTHER_ERROR", Stumbled),
        word("ACME_DEACTIVATED", Stumbled),
        code("serverInternal", "ServerInternal", Always(Stumbled)),
        code("badNonce", "BadNonce", Always(Stumbled)),
        code("orderNotReady", "OrderNotReady", Always(Stumbled)),
        code("unauthorized", "Unauthorized", OfAccount(AccountUnusable)),
        code("malformed", "Malformed", OfAccount(CaOperatorMustAct)),
        code("badSignatureAlgorithm", "BadSignatureAlgorithm", OfAccount(CaOperatorMustAct)),
        code("invalidContact", "InvalidContact", OfAccount(CaOperatorMustAct)),
        code("unsupportedContact", "UnsupportedContact", OfAccount(CaOperatorMustAct)),
        code("connection", "Connection", OfAccount(CaOperatorMustAct)),
        code("dns", "DNS", OfAccount(CaOperatorMustAct)),
        code("incorrectResponse", "IncorrectResponse", OfAccount(CaOperatorMustAct)),
        code("tls", "TLS", OfAccount(CaOperatorMustAct)),
        code("compound", "Compound", OfAccount(CaOperatorMustAct)),
    ]
};

/// Where the CA sends the error.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    NewAccount,
    NewOrder,
    Finalize,
    /// The challenge is answered, and the order becomes invalid.
    Validation,
    /// The CSR is accepted, and then the order becomes invalid.
    Rejection,
}

impl Code {
    /// The places where the code occurs.
    fn places(&self) -> &'static [Place] {
        match self.follows {
            Follows::Always(Next::AccountUnusable | Next::CaOperatorMustAct) => {
                &[Place::NewAccount, Place::NewOrder, Place::Finalize, Place::Rejection]
            }
            Follows::Always(Next::NotAllowed) => {
                &[Place::NewOrder, Place::Finalize, Place::Validation, Place::Rejection]
            }
            Follows::Always(_) => &[Place::NewAccount, Place::NewOrder, Place::Finalize],
            Follows::OfAccount(_) => &[Place::NewAccount, Place::NewOrder, Place::Validation],
        }
    }
}

struct Case {
    name: String,
    code: &'static Code,
    place: Place,
}

impl Case {
    async fn try_it(&self, ns: &TestNamespace, pebble: &Pebble) -> Result<()> {
        let (name, next) = (&self.name, self.next());
        let proxy = Proxy::start(&ns.cluster, &pebble.address).await?;
        self.script(&proxy);
        let directory = format!("{}{}", proxy.url, path::DIRECTORY);
        ns.apply(&of_issuer(name, &issuer(&directory, &pebble.ca_pem, ""))).await?;
        ns.apply(&of_issuer(name, &certificate(name, &[&format!("{name}.test")], ""))).await?;

        let of_account = matches!(next, Next::AccountUnusable | Next::CaOperatorMustAct);
        let at_issuer = of_account || self.place == Place::NewAccount;
        let (object, type_) = match at_issuer {
            true => (format!("issuer/{name}"), "Ready"),
            false => (format!("certificate/{name}"), "Issuing"),
        };
        let refused = |object: &Value| {
            condition(object, type_)
                .is_some_and(|(status, reason, _)| status == "False" && reason == self.code.reason)
        };
        let object = ns.wait(&object, SOON, refused).await?;
        let (.., message) = condition(&object, type_).unwrap_or_default();
        ensure!(message.contains(&self.words()), "its sentence is not in {message:?}");
        let (_, note) = event(ns, name, self.code.reason).await?;
        ensure!(note.contains(&self.words()), "its sentence is not in the event {note:?}");
        if at_issuer {
            self.certificate_waits(ns).await?;
        } else {
            assert_eq!(object["status"]["failedIssuanceAttempts"], 1);
            let keeps = matches!(next, Next::Stumbled | Next::TooFast);
            let kept = keeps && self.place != Place::NewOrder;
            ensure!(object["status"]["order"].is_null() != kept, "the order: {}", object["status"]["order"]);
        }

        let says_so = message.contains("until the spec of this issuer changes");
        assert_eq!(says_so, next == Next::AccountUnusable, "{message}");
        if next == Next::AccountUnusable {
            assert_eq!(object["status"]["nextAttemptTime"], Value::Null, "nothing is retried");
        } else {
            let wait = time(&object, "nextAttemptTime")?.duration_since(time(&object, "lastFailureTime")?);
            let slow = of_account || next == Next::NotAllowed;
            let minutes = if slow { 60..=73 } else { 1..=2 };
            ensure!(minutes.contains(&wait.as_mins()), "it waits {wait:#}");
        }
        self.check_requests(&proxy, at_issuer)
    }

    /// What follows.
    fn next(&self) -> Next {
        match (self.code.follows, self.place) {
            (Follows::Always(next), _) | (Follows::OfAccount(next), Place::NewAccount) => next,
            (Follows::OfAccount(_), _) => Next::OrderAnew,
        }
    }

    /// CAs put their own codes into the detail.
    fn problem(&self) -> Value {
        let code = self.code.code;
        let own = code.contains('_');
        let typ = if own { "malformed" } else { code };
        let detail = if own { format!("{code}: ask us") } else { format!("our words for {code}: ask us") };
        json!({ "type": format!("urn:ietf:params:acme:error:{typ}"), "detail": detail })
    }

    /// What the message must contain.
    fn words(&self) -> String {
        let problem = self.problem();
        let text = |key: &str| problem[key].as_str().unwrap_or_default().to_owned();
        match self.code.code {
            // What a CA says about nonces differs each time.
            "badNonce" => format!("the CA rejected every nonce ({})", text("type")),
            _ => format!("{} ({})", text("detail"), text("type")),
        }
    }

    fn path(&self) -> &'static str {
        match self.place {
            Place::NewAccount => path::NEW_ACCOUNT,
            Place::NewOrder => path::NEW_ORDER,
            Place::Finalize | Place::Rejection => path::FINALIZE,
            Place::Validation => path::CHALLENGE,
        }
    }

    fn script(&self, proxy: &Proxy) {
        let (path, problem) = (self.path(), self.problem());
        match self.place {
            Place::Validation | Place::Rejection => proxy.script(invalid_after(path, problem)),
            Place::NewAccount | Place::NewOrder | Place::Finalize => {
                proxy.script(move |request: &RequestInfo| match request.path.starts_with(path) {
                    true => refusal(403, &problem),
                    false => Action::Pass,
                });
            }
        }
    }

    /// The Certificate waits for its issuer and quotes its message; this is not a failure of the Certificate.
    async fn certificate_waits(&self, ns: &TestNamespace) -> Result<()> {
        let waits = |object: &Value| {
            condition(object, "Issuing").is_some_and(|(_, reason, message)| {
                reason == "IssuerNotReady" && message.contains(&self.words())
            })
        };
        let waiting = ns.wait(&format!("certificate/{}", self.name), SOON, waits).await?;
        assert_eq!(waiting["status"]["failedIssuanceAttempts"], Value::Null);
        Ok(())
    }

    /// If a CA fails temporarily, an order is retried twice within a few seconds before that counts as a failure. A CA that
    /// accepts no nonce was asked often enough already.
    fn check_requests(&self, proxy: &Proxy, at_issuer: bool) -> Result<()> {
        let asked = requests_to(proxy, self.path()).len();
        let expected = match self.next() {
            Next::Stumbled if self.code.code == "badNonce" => 64,
            Next::Stumbled if !at_issuer => 3,
            _ => 1,
        };
        ensure!(asked == expected, "asked {asked} times, not {expected}");
        Ok(())
    }
}

/// After the first request to `path`, which the CA processes, it reports the order as invalid because of `problem`: if that was
/// an answer to a challenge, the challenge has the problem, otherwise the order.
fn invalid_after(
    path: &'static str,
    problem: Value,
) -> impl Fn(&RequestInfo) -> Action + Send + Sync + 'static {
    let asked = AtomicBool::new(false);
    move |request| {
        if request.path.starts_with(path) {
            asked.store(true, Ordering::SeqCst);
        }
        let of_challenge = path == path::CHALLENGE;
        let is_order = request.path.starts_with(path::ORDER);
        let is_read = is_order || (of_challenge && request.path.starts_with(path::AUTHORIZATION));
        if !asked.load(Ordering::SeqCst) || !is_read {
            return Action::Pass;
        }
        let problem = problem.clone();
        change_json(move |object| {
            object["status"] = json!("invalid");
            if !of_challenge {
                object["error"] = problem.clone();
            }
            for challenge in object["challenges"].as_array_mut().into_iter().flatten() {
                challenge["status"] = json!("invalid");
                challenge["error"] = problem.clone();
            }
        })
    }
}
