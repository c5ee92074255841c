//! Sets conditions; they change only when something has changed.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::kstatus::Standing;
use crate::renewal::whole_seconds;
use certwright_api::{CONDITION_READY, CONDITION_RECONCILING, CONDITION_STALLED, certificate_reason};
use certwright_text::clean;

/// Longest message, in bytes; the API allows 32,768, and three conditions may say the same.
const MAX_MESSAGE: usize = 8192;

/// The status of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// `True`
    True,
    /// `False`
    False,
    /// `Unknown`
    Unknown,
}

impl Truth {
    /// As the API has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Truth {
    fn from(is: bool) -> Self {
        if is { Self::True } else { Self::False }
    }
}

impl From<Option<bool>> for Truth {
    fn from(is: Option<bool>) -> Self {
        is.map_or(Self::Unknown, Self::from)
    }
}

/// Sets the condition `type_`. Its transition time moves only if its status does.
pub fn set_condition(
    conditions: &mut Vec<Condition>,
    type_: &str,
    is: impl Into<Truth>,
    reason: &str,
    message: &str,
    generation: i64,
    now: Timestamp,
) {
    let status = is.into().as_str();
    let message = clean(message, MAX_MESSAGE);
    let message = message[..message.floor_char_boundary(MAX_MESSAGE)].to_owned();
    let since = conditions
        .iter()
        .find(|condition| condition.type_ == type_ && condition.status == status)
        .map(|condition| condition.last_transition_time.clone());
    let condition = Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: Some(generation),
        last_transition_time: since.unwrap_or(Time(whole_seconds(now))),
    };
    match conditions.iter_mut().find(|present| present.type_ == type_) {
        Some(present) => *present = condition,
        None => conditions.push(condition),
    }
}

/// Copies `Ready` to `Reconciling` or `Stalled`, as kstatus requires; neither is present while the object is ready.
pub fn set_standing(
    conditions: &mut Vec<Condition>,
    standing: Option<Standing>,
    generation: i64,
    now: Timestamp,
) {
    let type_ = standing.map(|standing| match standing {
        Standing::Reconciling => CONDITION_RECONCILING,
        Standing::Stalled => CONDITION_STALLED,
    });
    let kstatus = [CONDITION_RECONCILING, CONDITION_STALLED];
    conditions
        .retain(|found| !kstatus.contains(&found.type_.as_str()) || Some(found.type_.as_str()) == type_);
    if let Some(type_) = type_
        && let Some(ready) = condition(conditions, CONDITION_READY).cloned()
    {
        set_condition(conditions, type_, true, &ready.reason, &ready.message, generation, now);
    }
}

/// The condition `type_`.
pub fn condition<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether the condition `type_` is true.
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    condition(conditions, type_).is_some_and(|condition| condition.status == "True")
}

/// The conditions that say something new: those of `after` whose status, reason or message is another one than in `before`. Left
/// out are copies for kstatus, a condition that says the same as one before it, or the same and something else, and that nothing is
/// being issued because something has been issued.
pub fn news<'a>(before: &[Condition], after: &'a [Condition]) -> Vec<&'a Condition> {
    let says = |condition: &Condition| {
        (condition.status.clone(), condition.reason.clone(), condition.message.clone())
    };
    let is_said = |condition: &&Condition| {
        let is_copy = [CONDITION_STALLED, CONDITION_RECONCILING].contains(&condition.type_.as_str());
        !is_copy && (condition.status == "True" || condition.reason != certificate_reason::ISSUED)
    };
    let mut news: Vec<&Condition> = Vec::new();
    for now in after.iter().filter(is_said) {
        let was_known = condition(before, &now.type_).is_some_and(|then| says(then) == says(now));
        let repeats =
            |said: &&Condition| said.reason == now.reason && now.message.starts_with(said.message.as_str());
        if !was_known && !news.iter().any(repeats) {
            news.push(now);
        }
    }
    news
}

/// `text` with a capital letter at its beginning.
pub fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
