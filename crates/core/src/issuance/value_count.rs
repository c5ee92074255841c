//! How many TXT records there are at one name. Names that are delegated may be shared by many Certificates, or by other programs,
//! and CAs read a limited number of records: about 100 at Certigna.

use std::collections::BTreeSet;

use crate::events::Event;
use certwright_api::certificate_reason as reason;

/// With more, people are warned.
const MANY: usize = 50;
/// With as many, the CA is not told to validate while waiting may help.
const TOO_MANY: usize = 90;

/// How many TXT records there are at a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueCount {
    /// The name.
    pub fqdn: String,
    /// How many.
    pub values: usize,
}

/// Why to wait before the CA is told to validate, if one of the names has too many records.
pub(crate) fn why_wait(counts: &[ValueCount]) -> Option<String> {
    let full = counts.iter().find(|count| count.values >= TOO_MANY)?;
    Some(format!(
        "There are {TOO_MANY} or more TXT records at {}, and CAs may not read more than about 100: waiting until some are \
         removed; remove those that nothing uses",
        without_dot(&full.fqdn)
    ))
}

/// The warnings about names with many records, except those that `before` had already.
pub(super) fn warnings(counts: &[ValueCount], before: &[ValueCount]) -> Vec<Event> {
    let many = |counts: &[ValueCount]| -> BTreeSet<String> {
        let many = counts.iter().filter(|count| count.values > MANY);
        many.map(|count| without_dot(&count.fqdn).to_owned()).collect()
    };
    let warned = many(before);
    let new = many(counts).into_iter().filter(|fqdn| !warned.contains(fqdn));
    let note = |fqdn: String| {
        format!(
            "There are more than {MANY} TXT records at {fqdn}, and CAs may not read more than about 100; remove those that \
             nothing uses"
        )
    };
    new.map(|fqdn| Event::warning(reason::MANY_TXT_RECORDS, "SelfCheck", note(fqdn))).collect()
}

fn without_dot(fqdn: &str) -> &str {
    fqdn.strip_suffix('.').unwrap_or(fqdn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn above_fifty_values_people_are_warned_once_for_each_name_and_from_ninety_the_ca_is_not_told() {
        for (values, warns, waits) in
            [(1, false, false), (50, false, false), (51, true, false), (89, true, false), (90, true, true)]
        {
            let counts = [count("a.test.", values), count("a.test.", values)];
            assert_eq!(warnings(&counts, &[]).len(), usize::from(warns), "{values}");
            assert!(warnings(&counts, &counts).is_empty(), "{values}");
            assert_eq!(why_wait(&counts).is_some(), waits, "{values}");
        }
        let [event] = &warnings(&[count("a.test.", 60), count("b.test.", 99)], &[count("b.test.", 51)])[..]
        else {
            panic!("one warning")
        };
        assert_eq!(event.reason, "ManyTxtRecords");
        assert_eq!(
            event.note,
            "There are more than 50 TXT records at a.test, and CAs may not read more than about 100; remove those that \
             nothing uses"
        );
        let message = why_wait(&[count("a.test.", 1), count("b.test.", 99)]);
        assert_eq!(message, why_wait(&[count("b.test.", 120)]), "it does not change with the number");
        assert!(
            message.unwrap().starts_with("There are 90 or more TXT records at b.test, and CAs may not read")
        );
    }

    fn count(fqdn: &str, values: usize) -> ValueCount {
        ValueCount { fqdn: fqdn.to_owned(), values }
    }
}
