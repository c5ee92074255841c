//! The error codes of CAs.

mod table;

pub use table::CODES;

/// An error code of a CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// The code, as in [`Problem::code`](crate::Problem::code).
    pub code: &'static str,
    /// The code in CamelCase. A word in capitals stays as it is.
    pub name: &'static str,
    /// Who defines the code.
    pub source: Source,
    /// What the code means.
    pub class: Class,
    /// What a person does about it: a sentence without a full stop.
    pub remedy: Remedy,
}

/// What a person does about an error with a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remedy {
    /// The usual remedy.
    pub usual: &'static str,
    /// The remedy if the error is about an account, if that differs.
    pub of_account: Option<&'static str>,
    /// The remedy if the error is about a challenge, if that differs.
    pub of_challenge: Option<&'static str>,
}

/// What an error is about, as far as remedies differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// An account.
    Account,
    /// An order.
    Order,
    /// The proof of control over a name.
    Challenge,
}

/// Who defines a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// RFC 8555 section 6.7: any CA may send it.
    Rfc8555,
    /// The draft on profiles (draft-ietf-acme-profiles).
    Profiles,
    /// The ACME service of Certigna. It puts its codes into the type, the detail or a subproblem.
    Certigna,
}

/// What a code means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The account cannot be used, and nobody can mend that at the CA: another account, another key or another key id is needed.
    AccountUnusable,
    /// The CA's staff, or the owner of the account in the CA's portal, must act, and can: then the same account is usable again.
    CaMustAct,
    /// The CA does not allow what the order requests.
    NotAllowed,
    /// Too many requests.
    RateLimit,
    /// The CA failed temporarily.
    Temporary,
    /// The request that failed and the HTTP status determine what it means.
    DependsOnRequest,
}

impl Code {
    /// The known code that is spelled like this.
    #[must_use]
    pub fn find(code: &str) -> Option<&'static Self> {
        CODES.iter().find(|known| known.code == code)
    }

    /// The first whole word of `text` that is a CA's own code: `INVALID_DOMAIN_NAMES` does not contain `INVALID_DOMAIN`.
    pub(crate) fn find_word(text: &str) -> Option<&'static Self> {
        text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .find_map(|word| Self::find(word).filter(|code| code.source == Source::Certigna))
    }

    const fn new(
        code: &'static str,
        name: &'static str,
        source: Source,
        class: Class,
        remedy: &'static str,
    ) -> Self {
        Self {
            code,
            name,
            source,
            class,
            remedy: Remedy { usual: remedy, of_account: None, of_challenge: None },
        }
    }

    const fn at_account(mut self, remedy: &'static str) -> Self {
        self.remedy.of_account = Some(remedy);
        self
    }

    const fn at_challenge(mut self, remedy: &'static str) -> Self {
        self.remedy.of_challenge = Some(remedy);
        self
    }
}

impl Remedy {
    /// The remedy for an error about `place`.
    #[must_use]
    pub const fn at(&self, place: Place) -> &'static str {
        let special = match place {
            Place::Account => self.of_account,
            Place::Order => None,
            Place::Challenge => self.of_challenge,
        };
        match special {
            Some(special) => special,
            None => self.usual,
        }
    }
}
