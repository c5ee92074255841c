//! The kinds of objects that commands are about.

use certwright_api::IssuerKind;

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A Certificate.
    Certificate,
    /// An Issuer.
    Issuer,
    /// A ClusterIssuer.
    ClusterIssuer,
}

impl From<IssuerKind> for Kind {
    fn from(kind: IssuerKind) -> Self {
        match kind {
            IssuerKind::Issuer => Self::Issuer,
            IssuerKind::ClusterIssuer => Self::ClusterIssuer,
        }
    }
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Certificate, Self::Issuer, Self::ClusterIssuer];

    /// The kind as it is written in manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "Certificate",
            Self::Issuer => "Issuer",
            Self::ClusterIssuer => "ClusterIssuer",
        }
    }

    /// Several objects of the kind, in messages.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Certificate => "Certificates",
            Self::Issuer => "Issuers",
            Self::ClusterIssuer => "ClusterIssuers",
        }
    }

    /// The kind as it is written on the command line.
    pub fn singular(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Issuer => "issuer",
            Self::ClusterIssuer => "clusterissuer",
        }
    }

    /// The kind that a user means, also by its plural or its full name. Case does not matter.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let text = text.strip_suffix(".certwright.dev").unwrap_or(&text);
        match text.strip_suffix('s').unwrap_or(text) {
            "certificate" | "cert" => Some(Self::Certificate),
            "issuer" => Some(Self::Issuer),
            "clusterissuer" | "cissuer" => Some(Self::ClusterIssuer),
            _ => None,
        }
    }
}
