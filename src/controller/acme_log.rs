//! Logs what a CA and an issuer say to each other, for an hour after an annotation asks for that.
//!
//! The log is where only administrators can read it. The answers may come from any server that a tenant has named, so a
//! status, or an endpoint that others can reach, must not show them.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use tracing::{info, warn};

use super::issuer_record::{IssuerId, IssuerRecord};
use certwright_acme::{Exchange, Record};
use certwright_api::IssuerKind;
use certwright_core::acme_log::{LOGGED, until};
use certwright_runtime::clock;

/// The message of the log line for each exchange. `certwright support-bundle` looks for it.
pub const MESSAGE: &str = "ACME exchange";

/// How many bytes are logged for a namespace within an hour: some 500 exchanges, or 40 issuances. The kubelet keeps only the last
/// 10 MiB or so of a log.
const MAX_BYTES: usize = 2 << 20;
/// How many namespaces' exchanges are logged at a time, beside the one with the accounts of ClusterIssuers.
const MAX_NAMESPACES: usize = 8;

/// Which exchanges are logged.
#[derive(Clone, Default)]
pub struct AcmeLog(Arc<Mutex<HashMap<String, Logged>>>);

/// What is logged for the issuers of a namespace: the exchange of the one that asked last.
struct Logged {
    issuer: IssuerId,
    /// The URL of the CA's directory.
    server: String,
    until: Timestamp,
    /// Since when `left` counts.
    since: Timestamp,
    left: usize,
}

impl AcmeLog {
    /// Looks at the annotation of an issuer whose account is in `namespace`.
    pub fn see(&self, issuer: &IssuerRecord, namespace: &str, now: Timestamp) {
        let mut all = self.0.lock();
        let outcome = issuer.log_acme.as_deref().map(|request| until(request, now));
        let until = match outcome {
            Some(Ok(Some(until))) => until,
            other => {
                if let Some(Err(message)) = other {
                    warn!("{message}");
                }
                // What is used up stays until the hour is over: to ask again gains nothing.
                for logged in all.values_mut().filter(|logged| logged.issuer == issuer.id) {
                    logged.until = now.min(logged.until);
                }
                return;
            }
        };
        all.retain(|_, logged| now < logged.until || now.duration_since(logged.since) < LOGGED);
        let known = all.get(namespace);
        let is_settled = |known: &Logged| match known.issuer == issuer.id {
            true => known.until == until && known.server == issuer.spec.server,
            false => now < known.until && known.until >= until,
        };
        if known.is_some_and(is_settled) {
            return;
        }
        // Only administrators can annotate ClusterIssuers. Tenants must not be able to keep them out.
        let is_tenant = issuer.id.kind == IssuerKind::Issuer;
        if is_tenant && known.is_none() && all.len() >= MAX_NAMESPACES {
            warn!(
                "the exchange with the CA is not logged: {MAX_NAMESPACES} other namespaces have asked for that within an hour"
            );
            return;
        }
        let (since, left) = match known {
            Some(known) if now.duration_since(known.since) < LOGGED => (known.since, known.left),
            _ => (now, MAX_BYTES),
        };
        let server = issuer.spec.server.clone();
        info!(server, %until, "logging the exchange with the CA, as the issuer's annotation requests");
        let logged = Logged { issuer: issuer.id.clone(), server, until, since, left };
        all.insert(namespace.to_owned(), logged);
    }

    /// What to call with the exchanges with this server of the accounts in a namespace, if they are logged now.
    pub fn record(&self, namespace: &str, server: &str, now: Timestamp) -> Option<Record> {
        let is_logged = |logged: &Logged| now < logged.until && logged.server == server;
        if !self.0.lock().get(namespace).is_some_and(is_logged) {
            return None;
        }
        let (log, place) = (self.clone(), (namespace.to_owned(), server.to_owned()));
        Some(Arc::new(move |exchange| {
            if log.spend((&place.0, &place.1), exchange.size(), clock::now()) {
                write(&exchange);
            }
        }))
    }

    /// Whether so many bytes of an exchange of the accounts in a namespace with a server are to be logged now.
    fn spend(&self, (namespace, server): (&str, &str), bytes: usize, now: Timestamp) -> bool {
        let mut all = self.0.lock();
        let is_logged = |logged: &&mut Logged| now < logged.until && logged.server == server;
        let Some(logged) = all.get_mut(namespace).filter(is_logged) else { return false };
        let fits = bytes <= logged.left;
        if !fits && logged.left > 0 {
            warn!("the exchange with the CA is not logged any more: it has become too long");
        }
        logged.left = if fits { logged.left - bytes } else { 0 };
        fits
    }
}

fn write(exchange: &Exchange) {
    let Exchange { operation, url, request, status, headers, answer } = exchange;
    let operation = operation.as_str();
    info!(operation, url, request, status, headers, answer, "{MESSAGE}");
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use certwright_api::{AcmeIssuer, Issuer, IssuerSpec};

    const SERVER: &str = "https://ca.example/dir";

    #[test]
    fn an_hour_is_logged_of_the_server_of_the_issuer_and_of_no_other() {
        let (log, now) = (AcmeLog::default(), now());
        log.see(&issuer("shop", None), "shop", now);
        assert!(log.record("shop", SERVER, now).is_none());
        log.see(&issuer("shop", Some(now)), "shop", now);
        assert!(log.record("shop", SERVER, now).is_some());
        assert!(log.record("shop", "https://other.example/dir", now).is_none());
        assert!(log.record("bank", SERVER, now).is_none());
        let at = |minutes| now + SignedDuration::from_mins(minutes);
        assert!(log.spend(("shop", SERVER), 1, at(59)));
        assert!(!log.spend(("shop", SERVER), 1, at(60)));
        assert!(log.record("shop", SERVER, at(60)).is_none(), "and no exchange is prepared for nothing");
    }

    #[test]
    fn it_ends_when_the_annotation_is_removed_and_goes_on_when_it_is_there_again() {
        let (log, now) = (AcmeLog::default(), now());
        log.see(&issuer("shop", Some(now)), "shop", now);
        let later = now + SignedDuration::from_mins(1);
        log.see(&issuer("shop", None), "shop", later);
        assert!(!log.spend(("shop", SERVER), 1, later));
        log.see(&issuer("shop", Some(now)), "shop", later);
        assert!(log.spend(("shop", SERVER), 1, later));
    }

    #[test]
    fn a_namespace_cannot_fill_the_log_however_often_it_asks() {
        let (log, now) = (AcmeLog::default(), now());
        let mut bytes = 0;
        for minute in 0..59 {
            let now = now + SignedDuration::from_mins(minute);
            // The annotation is removed and set again.
            log.see(&issuer("shop", None), "shop", now);
            log.see(&issuer("shop", Some(now)), "shop", now);
            while log.spend(("shop", SERVER), 4000, now) {
                bytes += 4000;
            }
        }
        assert!(bytes <= MAX_BYTES && bytes > MAX_BYTES - 4000, "{bytes}");
        let later = now + LOGGED;
        log.see(&issuer("shop", Some(later)), "shop", later);
        assert!(log.spend(("shop", SERVER), 4000, later), "another hour");
    }

    #[test]
    fn only_some_namespaces_are_logged_at_a_time() {
        let (log, now) = (AcmeLog::default(), now());
        let names: Vec<String> = (0..=MAX_NAMESPACES).map(|number| format!("n{number}")).collect();
        names.iter().for_each(|name| log.see(&issuer(name, Some(now)), name, now));
        let logged = |now| names.iter().filter(|name| log.spend((name, SERVER), 1, now)).count();
        assert_eq!(logged(now), MAX_NAMESPACES);
        let later = now + LOGGED;
        let last = &names[MAX_NAMESPACES];
        log.see(&issuer(last, Some(later)), last, later);
        assert!(log.spend((last, SERVER), 1, later), "the others are over");
    }

    #[test]
    fn of_two_issuers_in_a_namespace_the_one_that_asked_last_is_logged_however_often_they_are_seen() {
        let (log, now) = (AcmeLog::default(), now());
        let later = now + SignedDuration::from_mins(1);
        let other = "https://other.example/dir";
        let second = IssuerRecord {
            id: IssuerId { name: "second".to_owned(), ..issuer("shop", None).id },
            ..at(other, Some(later))
        };
        for _ in 0..2 {
            log.see(&issuer("shop", Some(now)), "shop", later);
            log.see(&second, "shop", later);
            log.see(&issuer("shop", Some(now)), "shop", later);
            assert!(
                log.record("shop", other, later).is_some() && log.record("shop", SERVER, later).is_none()
            );
        }
        assert!(
            !log.spend(("shop", SERVER), 1, later),
            "an account that was logged before is logged no more"
        );
        let over = later + LOGGED;
        log.see(&issuer("shop", Some(over)), "shop", over);
        assert!(log.spend(("shop", SERVER), 1, over));
    }

    #[test]
    fn an_issuer_that_gets_another_server_is_logged_there() {
        let (log, now) = (AcmeLog::default(), now());
        log.see(&issuer("shop", Some(now)), "shop", now);
        log.see(&at("https://other.example/dir", Some(now)), "shop", now);
        assert!(log.record("shop", "https://other.example/dir", now).is_some());
        assert!(log.record("shop", SERVER, now).is_none());
    }

    #[test]
    fn namespaces_that_ask_do_not_keep_out_the_issuers_of_the_cluster() {
        let (log, now) = (AcmeLog::default(), now());
        let names: Vec<String> = (0..MAX_NAMESPACES).map(|number| format!("n{number}")).collect();
        names.iter().for_each(|name| log.see(&issuer(name, Some(now)), name, now));
        let id = IssuerId { kind: IssuerKind::ClusterIssuer, namespace: None, name: "ca".to_owned() };
        log.see(&IssuerRecord { id, ..issuer("any", Some(now)) }, "certwright", now);
        assert!(log.spend(("certwright", SERVER), 1, now));
    }

    fn issuer(namespace: &str, asked: Option<Timestamp>) -> IssuerRecord {
        of(namespace, SERVER, asked)
    }

    fn at(server: &str, asked: Option<Timestamp>) -> IssuerRecord {
        of("shop", server, asked)
    }

    fn of(namespace: &str, server: &str, asked: Option<Timestamp>) -> IssuerRecord {
        let acme = AcmeIssuer { server: server.to_owned(), ..AcmeIssuer::default() };
        let mut issuer = Issuer::new("ca", IssuerSpec { acme });
        issuer.metadata.namespace = Some(namespace.to_owned());
        let annotation =
            asked.map(|asked| (certwright_api::ANNOTATION_LOG_ACME.to_owned(), asked.to_string()));
        issuer.metadata.annotations = Some(annotation.into_iter().collect());
        IssuerRecord::from(&issuer)
    }

    fn now() -> Timestamp {
        "2026-11-30T12:00:00Z".parse().unwrap()
    }
}
