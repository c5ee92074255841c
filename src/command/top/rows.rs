//! What `certwright top` keeps of an object.

use jiff::Timestamp;
use kube::ResourceExt;

use crate::command::chosen_issuer::IssuerApi;
use crate::command::kind::Kind;
use crate::command::outlook::{self, Outlook};
use crate::controller::issuer_record::IssuerId;
use certwright_api::{Certificate, IssuerKind, certificate_reason as reason};

/// Which object of a kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

/// How a Certificate is, in the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// The last issuance failed, and none is in progress.
    Failing,
    /// An issuance waits for something.
    Waiting,
    /// An issuance is in progress.
    UnderWay,
    /// The operator has not processed it yet.
    Unseen,
    /// Nothing is wrong.
    Ready,
}

/// A Certificate.
#[derive(Clone, Debug)]
pub(super) struct CertificateRow {
    pub(super) key: Key,
    pub(super) standing: Standing,
    pub(super) outlook: Outlook,
    pub(super) issuer: IssuerId,
    pub(super) expires: Option<Timestamp>,
    /// The next renewal. `None`: none is planned.
    pub(super) renews: Option<Timestamp>,
}

/// An issuer.
#[derive(Clone, Debug)]
pub(super) struct IssuerRow {
    pub(super) id: IssuerId,
    pub(super) outlook: Outlook,
    /// The host of its CA.
    pub(super) server: String,
    /// The URL of its account.
    pub(super) account: Option<String>,
}

/// What an issuance can wait for, in contrast to what an operator or a CA does at the moment.
const WAITS: &[&str] = &[
    reason::ISSUER_NOT_FOUND,
    reason::ISSUER_NOT_READY,
    reason::NOT_ALLOWED,
    reason::QUEUED,
    reason::PASSWORD_NOT_FOUND,
    reason::NO_SOLVER,
    reason::PRESENTING,
    reason::PROPAGATION,
    reason::PERSISTENT_RECORD,
    reason::SELF_CHECK,
    reason::CA_UNAVAILABLE,
    reason::RATE_LIMITED,
    reason::DUPLICATE_CERTIFICATES,
    reason::ISSUED_RECENTLY,
    reason::DNS_WEBHOOK_UNAVAILABLE,
    reason::SECRET_NOT_OURS,
    reason::SECRET_CLAIMED,
    reason::KEPT_BY_CERT_MANAGER,
];

impl Standing {
    /// All of them.
    pub(super) const ALL: [Self; 5] =
        [Self::Failing, Self::Waiting, Self::UnderWay, Self::Unseen, Self::Ready];

    /// In a column.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Failing => "failing",
            Self::Waiting => "waiting",
            Self::UnderWay => "under way",
            Self::Unseen => "not seen",
            Self::Ready => "ready",
        }
    }

    fn of(outlook: &Outlook) -> Self {
        match &outlook.trouble {
            Some(trouble) if trouble.failed => Self::Failing,
            Some(trouble) if WAITS.contains(&trouble.reason.as_str()) => Self::Waiting,
            Some(_) => Self::UnderWay,
            None if outlook.ready.is_none() => Self::Unseen,
            None => Self::Ready,
        }
    }
}

impl CertificateRow {
    /// The row of a Certificate whose texts are safe to show.
    pub(super) fn of(certificate: &Certificate, now: Timestamp) -> Self {
        let outlook = outlook::of_certificate(certificate, now);
        let status = certificate.status.as_ref();
        let renews = match &outlook.next {
            outlook::NextAction::At("renews", time) => Some(*time),
            _ => None,
        };
        Self {
            key: Key { namespace: certificate.namespace(), name: certificate.name_any() },
            standing: Standing::of(&outlook),
            issuer: IssuerId::of(certificate),
            expires: status.and_then(|status| outlook::time(status.not_after.as_ref())),
            renews,
            outlook,
        }
    }

    /// Whether this text occurs in a name, a reason or the message.
    pub(super) fn contains(&self, text: &str) -> bool {
        let has = |field: &str| field.to_lowercase().contains(text);
        let trouble = self.outlook.trouble.as_ref();
        has(&self.key.name)
            || self.key.namespace.as_deref().is_some_and(has)
            || has(&self.issuer.name)
            || trouble.is_some_and(|trouble| has(&trouble.reason) || has(&trouble.message))
    }

    /// Those with the greatest trouble come first, and then those for which something happens next.
    pub(super) fn rank(&self) -> (Standing, Timestamp, &Key) {
        let next = match &self.outlook.next {
            outlook::NextAction::At(_, time) => *time,
            outlook::NextAction::When(_) => self.expires.unwrap_or(Timestamp::MIN),
        };
        (self.standing, next, &self.key)
    }
}

impl IssuerRow {
    /// The row of an issuer whose texts are safe to show.
    pub(super) fn of<K: IssuerApi>(issuer: &K) -> Self {
        let status = issuer.status();
        let server = &issuer.acme().server;
        let host = server.parse::<http::Uri>().ok().and_then(|url| url.host().map(str::to_owned));
        Self {
            id: IssuerId { kind: K::KIND, namespace: issuer.namespace(), name: issuer.name_any() },
            outlook: outlook::of_issuer(issuer, status),
            server: host.unwrap_or_else(|| server.clone()),
            account: status.and_then(|status| Some(status.acme.as_ref()?.uri.clone())),
        }
    }

    /// Its kind, for a command.
    pub(super) fn kind(&self) -> Kind {
        kind_of(&self.id)
    }
}

/// The kind of an issuer, for a command.
pub(super) fn kind_of(id: &IssuerId) -> Kind {
    match id.kind {
        IssuerKind::Issuer => Kind::Issuer,
        IssuerKind::ClusterIssuer => Kind::ClusterIssuer,
    }
}
