//! A CA in memory: orders with the states of RFC 8555 section 7.1.6, and real certificates.

mod authorization;
mod certificate;
mod outage;
mod refusal;
mod revocation;

use authorization::authorization;
pub use certificate::VALID_UNTIL;
use certificate::{certificate, without_ancestor};
pub use refusal::Refusal;
pub use revocation::{By, Revoked, Revokes};

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use certwright_acme::{
    Authorization, AuthorizationStatus, Challenge, ChallengeStatus, ChallengeType, Identifier, Order,
    OrderStatus, Problem, SuggestedWindow,
};
use certwright_pki::PrivateKey;

/// The lifetime of an order that is not complete.
pub const ORDER_LIFETIME: SignedDuration = SignedDuration::from_hours(24);

pub struct Ca {
    pub orders: Vec<CaOrder>,
    /// What happens to the next calls, one each.
    pub faults: VecDeque<Fault>,
    /// The same, but only some of them fail; these come first.
    pub calls: VecDeque<Option<Fault>>,
    /// How many orders were placed whose URL was in a lost answer.
    pub orders_unheard_of: usize,
    pub validation: Validation,
    /// What it does with single accounts, as if each had a CA of its own.
    pub accounts: outage::Accounts,
    /// It accepts the answer to a challenge, but keeps the challenge pending, with an error of this code unless that is empty.
    pub keeps_pending: Option<&'static str>,
    pub finalization: Finalization,
    /// New orders find their names validated already.
    pub knows_the_names: bool,
    pub flaw: Option<Flaw>,
    pub identifiers: Identifiers,
    pub retry_after: Option<Duration>,
    pub lifetime: SignedDuration,
    /// The only type of challenge that it offers, instead of http-01, or dns-01 for wildcards.
    pub offers: Option<ChallengeType>,
    /// When it suggests to renew a certificate.
    pub suggests: Option<SuggestedWindow>,
    pub revokes: Revokes,
    pub revoked: Vec<Revoked>,
    pub revocation_requests: usize,
}

pub struct CaOrder {
    account: String,
    identifiers: Vec<Identifier>,
    pub status: OrderStatus,
    pub expires: Timestamp,
    pub authorizations: Vec<Authorization>,
    key: Option<PrivateKey>,
    error: Option<Problem>,
    chain: Option<String>,
    /// The CA answers 404.
    pub forgotten: bool,
}

/// What happens to a call.
#[derive(Clone, Debug)]
pub struct Fault {
    pub refusal: Refusal,
    /// The call takes effect, and only the answer is lost.
    pub answer_lost: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Validation {
    Succeeds,
    Fails(&'static str),
    Hangs,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Finalization {
    Succeeds,
    Fails(&'static str),
    Hangs,
}

/// What is wrong with the certificates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Flaw {
    OtherKey,
    NameMissing,
    NameAdded,
    NoChain,
    Expired,
    /// They have the serial number of the last one for the same key.
    SerialRepeated,
    /// Its renewal time is past when it is issued.
    DueAlready,
}

/// How the CA writes the identifiers of an order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Identifiers {
    AsAsked,
    InCapitals,
    LeftOut,
}

impl Ca {
    pub fn new() -> Self {
        Self {
            orders: Vec::new(),
            faults: VecDeque::new(),
            calls: VecDeque::new(),
            orders_unheard_of: 0,
            validation: Validation::Succeeds,
            accounts: outage::Accounts::default(),
            keeps_pending: None,
            finalization: Finalization::Succeeds,
            knows_the_names: false,
            flaw: None,
            identifiers: Identifiers::AsAsked,
            retry_after: None,
            lifetime: SignedDuration::from_hours(90 * 24),
            offers: None,
            suggests: None,
            revokes: Revokes::Willingly,
            revoked: Vec::new(),
            revocation_requests: 0,
        }
    }

    /// Fixes everything that was wrong.
    pub fn mend(&mut self) {
        let (orders, revoked) = (std::mem::take(&mut self.orders), std::mem::take(&mut self.revoked));
        *self = Self {
            orders,
            revoked,
            identifiers: self.identifiers,
            offers: self.offers.take(),
            ..Self::new()
        };
    }

    pub fn place(
        &mut self,
        account: &str,
        identifiers: Vec<Identifier>,
        now: Timestamp,
    ) -> Result<(String, Order), Refusal> {
        self.accounts.placed.push(account.to_owned());
        if self.calls.front().is_some_and(|call| call.as_ref().is_some_and(|fault| fault.answer_lost)) {
            self.orders_unheard_of += 1;
        }
        self.call(account, |ca| {
            let number = ca.orders.len();
            let identifiers: Vec<Identifier> = identifiers.into_iter().map(without_ancestor).collect();
            let authorizations =
                identifiers.iter().map(|name| ca.authorization(name, number, ca.knows_the_names)).collect();
            ca.orders.push(CaOrder {
                account: account.to_owned(),
                identifiers,
                status: OrderStatus::Pending,
                expires: now + ORDER_LIFETIME,
                authorizations,
                key: None,
                error: None,
                chain: None,
                forgotten: false,
            });
            ca.work(now);
            Ok((format!("order/{number}"), ca.shown(number)))
        })
    }

    pub fn read(&mut self, account: &str, url: &str, now: Timestamp) -> Result<Order, Refusal> {
        self.call(account, |ca| {
            ca.work(now);
            let number = ca.known(account, url)?;
            Ok(ca.shown(number))
        })
    }

    pub fn authorizations(
        &mut self,
        account: &str,
        url: &str,
        now: Timestamp,
    ) -> Result<Vec<(String, Authorization)>, Refusal> {
        self.call(account, |ca| {
            ca.work(now);
            let number = ca.known(account, url)?;
            let authorizations = ca.orders[number].authorizations.iter().cloned();
            Ok(authorizations
                .map(|authorization| (format!("authz/{}", authorization.name()), authorization))
                .collect())
        })
    }

    /// The client reports that the answer to the challenge of `authorization` is in place.
    pub fn answer(&mut self, account: &str, url: &str, authorization: &str) -> Result<Challenge, Refusal> {
        self.call(account, |ca| {
            let number = ca.known(account, url)?;
            let order = &mut ca.orders[number];
            let found = order
                .authorizations
                .iter_mut()
                .find(|found| format!("authz/{}", found.name()) == authorization);
            let challenge = &mut found.expect("an authorization of this order").challenges[0];
            if challenge.status != ChallengeStatus::Pending || order.status != OrderStatus::Pending {
                return Err(Refusal { code: "malformed", status: Some(400), retry_after: None });
            }
            match ca.keeps_pending {
                None => challenge.status = ChallengeStatus::Processing,
                Some(code) => challenge.error = (!code.is_empty()).then(|| problem(code)),
            }
            Ok(challenge.clone())
        })
    }

    pub fn finalize(
        &mut self,
        account: &str,
        url: &str,
        key: &PrivateKey,
        names: Vec<Identifier>,
        now: Timestamp,
    ) -> Result<Order, Refusal> {
        self.call(account, |ca| {
            ca.work(now);
            let number = ca.known(account, url)?;
            let order = &mut ca.orders[number];
            if order.status != OrderStatus::Ready {
                return Err(Refusal { code: "orderNotReady", status: Some(403), retry_after: None });
            }
            if order.identifiers != names {
                return Err(Refusal { code: "badCSR", status: Some(400), retry_after: None });
            }
            order.key = Some(key.clone());
            order.status = OrderStatus::Processing;
            ca.work(now);
            Ok(ca.shown(number))
        })
    }

    pub fn download(&mut self, account: &str, url: &str) -> Result<String, Refusal> {
        self.call(account, |ca| {
            let number = ca.known(account, url)?;
            Ok(ca.orders[number].chain.clone().expect("only a valid order is downloaded"))
        })
    }

    /// The CA does its own work.
    pub fn work(&mut self, now: Timestamp) {
        for number in 0..self.orders.len() {
            self.work_on(number, now);
        }
    }

    fn work_on(&mut self, number: usize, now: Timestamp) {
        let (flaw, validation) = (self.flaw, self.validation_of(number));
        let order = &mut self.orders[number];
        if order.status == OrderStatus::Pending {
            for authorization in &mut order.authorizations {
                let challenge = &mut authorization.challenges[0];
                match validation {
                    _ if challenge.status != ChallengeStatus::Processing => {}
                    Validation::Hangs => {}
                    Validation::Succeeds => {
                        challenge.status = ChallengeStatus::Valid;
                        authorization.status = AuthorizationStatus::Valid;
                    }
                    Validation::Fails(code) => {
                        challenge.status = ChallengeStatus::Invalid;
                        challenge.error = Some(problem(code));
                        authorization.status = AuthorizationStatus::Invalid;
                        order.status = OrderStatus::Invalid;
                    }
                }
            }
            if order.authorizations.iter().all(|found| found.status == AuthorizationStatus::Valid) {
                order.status = OrderStatus::Ready;
            }
        }
        if order.status == OrderStatus::Processing {
            match self.finalization {
                Finalization::Hangs => {}
                Finalization::Succeeds => {
                    let key = order.key.as_ref().expect("the key of the request");
                    order.chain = Some(certificate(key, &order.identifiers, flaw, now, self.lifetime));
                    order.status = OrderStatus::Valid;
                }
                Finalization::Fails(code) => {
                    order.error = Some(problem(code));
                    order.status = OrderStatus::Invalid;
                }
            }
        }
        if now >= order.expires && order.status != OrderStatus::Valid {
            order.status = OrderStatus::Invalid;
        }
    }

    fn call<T>(
        &mut self,
        account: &str,
        effect: impl FnOnce(&mut Self) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.accounts.answer(account)?;
        match self.calls.pop_front().unwrap_or_else(|| self.faults.pop_front()) {
            None => effect(self),
            Some(fault) => {
                if fault.answer_lost {
                    drop(effect(self));
                }
                Err(fault.refusal)
            }
        }
    }

    fn known(&self, account: &str, url: &str) -> Result<usize, Refusal> {
        let number: usize = url.trim_start_matches("order/").parse().expect("an order's URL");
        let order = &self.orders[number];
        assert_eq!(order.account, account, "an order is never asked for with another account");
        match order.forgotten {
            true => Err(Refusal { code: "unexpectedStatus", status: Some(404), retry_after: None }),
            false => Ok(number),
        }
    }

    fn shown(&self, number: usize) -> Order {
        let order = &self.orders[number];
        let identifiers = match self.identifiers {
            Identifiers::AsAsked => order.identifiers.clone(),
            Identifiers::InCapitals => {
                let capitals =
                    |name: &Identifier| Identifier { value: name.value.to_uppercase(), ..name.clone() };
                order.identifiers.iter().rev().map(capitals).collect()
            }
            Identifiers::LeftOut => Vec::new(),
        };
        Order {
            status: order.status.clone(),
            expires: Some(order.expires),
            identifiers,
            authorizations: Vec::new(),
            error: order.error.clone(),
            finalize: format!("finalize/{number}"),
            certificate: order.chain.as_ref().map(|_| format!("certificate/{number}")),
            profile: None,
        }
    }
}

impl CaOrder {
    /// The CA also requires validation of this name, or has validated it.
    pub fn wants(&mut self, name: &str, valid: bool) {
        self.authorizations.push(authorization(&Identifier::dns(name), 0, valid, None));
    }
}

fn problem(code: &str) -> Problem {
    let typ = format!("urn:ietf:params:acme:error:{code}");
    Problem { typ, detail: "the CA's own words".to_owned(), ..Problem::default() }
}
