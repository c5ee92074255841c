//! What is asked about CAA records before an order is placed, and the answer.

use crate::caa::RelevantSet;
use certwright_acme::ChallengeType;

/// What to look up before an order is placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaaQuestion {
    /// The URL of the account.
    pub account: String,
    /// The DNS names of the order.
    pub names: Vec<CaaName>,
}

/// A name whose CAA records are looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaaName {
    /// The name. It begins with `*.` if it is a wildcard.
    pub name: String,
    /// The type of the challenge that is going to be chosen, if the CA offers all types and has not validated the name already.
    pub method: Option<ChallengeType>,
    /// The name servers to query, if the solver names any.
    pub nameservers: Vec<String>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaaAnswer {
    /// The names that stand for the CA. If there are none, nothing was looked up.
    pub identities: Vec<String>,
    /// The records that apply to names of the question. A name has none if there is no such record, or if the lookup failed:
    /// then the CA decides.
    pub found: Vec<(String, RelevantSet)>,
}
