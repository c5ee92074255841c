//! The pages `docs/troubleshooting-*.md`, which have an entry for each reason. They are part of the binary, so there is a single
//! source. What to do about a CA's code is part of the table of codes, from which the pages have it.

use std::collections::BTreeMap;

use super::output::{BOLD, styled, wrapped};
use certwright_acme::CODES;
use certwright_core::remedy;

macro_rules! page {
    ($of:expr, $name:literal) => {
        ($of, $name, include_str!(concat!("../../docs/", $name)))
    };
}

/// The pages with entries, in the order of the book: what their reasons are reasons of, the file, and its text.
const PAGES: [(&str, &str, &str); 7] = [
    page!(OF_ISSUERS, "troubleshooting-issuers.md"),
    page!(OF_CERTIFICATES, "troubleshooting-orders.md"),
    page!(OF_CERTIFICATES, "troubleshooting-challenges.md"),
    page!(OF_CERTIFICATES, "troubleshooting-secrets.md"),
    page!(OF_CERTIFICATES, "troubleshooting-revocation.md"),
    page!("Ingresses and Gateways", "troubleshooting-annotations.md"),
    page!("CertificateSigningRequests", "troubleshooting-signing-requests.md"),
];
const PAGE_OF_CODES: (&str, &str, &str) = page!("What a CA says", "troubleshooting-ca.md");
const OF_ISSUERS: &str = "Issuers and ClusterIssuers";
const OF_CERTIFICATES: &str = "Certificates";

/// Whose reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chapter {
    /// Reasons of issuers.
    Issuers,
    /// Reasons of Certificates.
    Certificates,
}

impl Chapter {
    fn of(self) -> &'static str {
        match self {
            Self::Issuers => OF_ISSUERS,
            Self::Certificates => OF_CERTIFICATES,
        }
    }
}

/// What a page says about a reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The reason.
    pub reason: &'static str,
    /// What it is a reason of.
    pub of: &'static str,
    /// The page in `docs`.
    pub page: &'static str,
    /// What it means and what to do, in Markdown.
    pub text: String,
}

/// All entries: those of CAs' codes, then those of the pages in their order.
pub fn entries() -> Vec<Entry> {
    let of_pages = PAGES.iter().flat_map(|&(of, page, text)| {
        text.split("\n### ").skip(1).filter_map(move |entry| {
            let (heading, text) = entry.split_once('\n')?;
            let text = text.split("\n## ").next().unwrap_or_default();
            Some(Entry { reason: heading.trim_matches('`'), of, page, text: text.trim().to_owned() })
        })
    });
    codes().into_iter().chain(of_pages).collect()
}

/// The entry of a reason of an issuer or a Certificate, with what to do. For a CA's code, what happens next follows.
pub fn entry(chapter: Chapter, reason: &str) -> Option<Entry> {
    let of = |kind: &str| entries().into_iter().find(|entry| entry.of == kind && entry.reason == reason);
    of(chapter.of()).or_else(|| of(PAGE_OF_CODES.0))
}

/// What to do about each reason of an issuer or a Certificate, and each code of a CA: the first paragraph of its entry, as text.
pub fn remedies(chapter: Chapter) -> BTreeMap<&'static str, String> {
    let entries = entries();
    let of = |kind: &'static str| entries.iter().filter(move |entry| entry.of == kind);
    let first = |entry: &Entry| {
        let paragraph = entry.text.split("\n\n").next().unwrap_or_default();
        let words = unlinked(paragraph).replace("**", "");
        words.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    of(PAGE_OF_CODES.0).chain(of(chapter.of())).map(|entry| (entry.reason, first(entry))).collect()
}

/// The entries of a reason, or of a code in the form in which a CA sends it. Ignores case.
pub fn look_up(reason: &str) -> Vec<Entry> {
    let reason = reason.rsplit([':', '/']).next().unwrap_or(reason);
    entries().into_iter().filter(|entry| entry.reason.eq_ignore_ascii_case(reason)).collect()
}

/// One entry for each code of a CA: what to do, and what happens next, from the first table of the page.
fn codes() -> Vec<Entry> {
    let (of, page, text) = PAGE_OF_CODES;
    let table = text.split("\n## ").next().unwrap_or_default();
    let rows = table.lines().filter_map(|row| row.strip_prefix("| `")?.strip_suffix(" |")?.split_once(" | "));
    let of_row = |(codes, text): (&'static str, &'static str)| {
        codes.split(", ").map(move |code| {
            let reason = code.trim_matches('`');
            let known = CODES.iter().find(|known| known.name == reason);
            let to_do = known.map(remedy::explained).unwrap_or_default();
            Entry { reason, of, page, text: format!("{to_do}\n\n{text}") }
        })
    };
    rows.flat_map(of_row).collect()
}

/// Markdown as text for a terminal: paragraphs and items are wrapped and indented by `indent` spaces, tables become lists without
/// their heads, and links become their text and the page that they lead to.
pub fn plain(markdown: &str, indent: usize) -> String {
    let mut blocks: Vec<String> = Vec::new();
    for line in markdown.lines() {
        let row = line.strip_prefix("| ").and_then(|row| row.strip_suffix(" |"));
        if row.is_some_and(|row| row.starts_with("---")) {
            blocks.pop();
            continue;
        }
        let begins = line.starts_with("- ") || row.is_some() || line.is_empty();
        let text =
            row.map_or_else(|| line.trim().to_owned(), |row| format!("- {}", row.replacen(" | ", ": ", 1)));
        match blocks.last_mut() {
            Some(last) if !begins && !last.is_empty() => *last = format!("{last} {text}"),
            _ => blocks.push(text),
        }
    }
    let space = " ".repeat(indent);
    let shown = blocks.iter().map(|block| match block.strip_prefix("- ") {
        _ if block.is_empty() => String::new(),
        Some(item) => format!("{space}- {}", bold(&wrapped(&unlinked(item), indent + 2))),
        None => format!("{space}{}", bold(&wrapped(&unlinked(block), indent))),
    });
    let text = shown.collect::<Vec<_>>().join("\n");
    text.replace("\n\n\n", "\n\n")
}

/// Replaces links by their text, and by the page that they lead to if it is another one.
fn unlinked(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, label, target, after)) = first_link(rest) {
        let page = target.split('#').next().unwrap_or_default();
        let page = if page.is_empty() { String::new() } else { format!(" (docs/{page})") };
        shown.push_str(&format!("{before}{label}{page}"));
        rest = after;
    }
    shown.push_str(rest);
    shown
}

fn first_link(text: &str) -> Option<(&str, &str, &str, &str)> {
    let (head, tail) = text.split_once("](")?;
    let (before, label) = head.rsplit_once('[')?;
    let (target, after) = tail.split_once(')')?;
    Some((before, label, target, after))
}

fn bold(text: &str) -> String {
    let mut pieces = text.split("**");
    let mut shown = pieces.next().unwrap_or_default().to_owned();
    let mut is_bold = true;
    for piece in pieces {
        shown.push_str(&if is_bold { styled(BOLD, piece) } else { piece.to_owned() });
        is_bold = !is_bold;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use certwright_api::{certificate_reason, issuer_reason};

    #[test]
    fn every_reason_and_every_code_has_an_entry_that_says_something() {
        let all = |chapter, reasons: &[&str]| {
            for reason in reasons {
                let entry = entry(chapter, reason).unwrap_or_else(|| panic!("{reason}"));
                assert!(plain(&entry.text, 0).len() > 20, "{reason}: {entry:?}");
            }
        };
        all(Chapter::Issuers, issuer_reason::ALL);
        all(Chapter::Certificates, certificate_reason::ALL);
        let codes: Vec<&str> = CODES.iter().map(|known| known.name).collect();
        all(Chapter::Certificates, &codes);
    }

    #[test]
    fn a_code_is_found_as_the_ca_sends_it() {
        let found = look_up("urn:ietf:params:acme:error:rateLimited");
        assert_eq!(
            found.iter().map(|entry| entry.of).collect::<Vec<_>>(),
            ["What a CA says", "Issuers and ClusterIssuers", "Certificates"]
        );
        assert_eq!(look_up("no such thing"), []);
    }

    #[test]
    fn what_to_do_about_a_code_comes_before_what_happens_next() {
        let [entry] = &look_up("OUT_OF_CREDIT")[..] else { panic!("{:?}", look_up("OUT_OF_CREDIT")) };
        assert!(entry.text.starts_with("Buy credit in the CA's portal"), "{}", entry.text);
        assert!(entry.text.contains("\n\nThe CA's staff must act"), "{}", entry.text);
    }

    #[test]
    fn every_reason_has_a_remedy_in_plain_words() {
        for (chapter, reasons) in
            [(Chapter::Issuers, issuer_reason::ALL), (Chapter::Certificates, certificate_reason::ALL)]
        {
            let remedies = remedies(chapter);
            for reason in reasons.iter().chain(&["OUT_OF_CREDIT"]) {
                let remedy = &remedies[reason];
                assert!(remedy.len() > 20 && !remedy.contains(['\n', '\u{1b}']), "{reason}: {remedy}");
                assert!(!remedy.contains("](") && !remedy.contains("**"), "{reason}: {remedy}");
            }
        }
    }

    #[test]
    fn markdown_becomes_text_for_a_terminal() {
        let markdown = "One **bold** [link](http01.md#top)\nand [here](#x).\n\n| if | then |\n| --- | --- |\n| `a` | Do a. |\n\n- item\n  goes on";
        let text = anstream::adapter::strip_str(&plain(markdown, 2)).to_string();
        assert_eq!(text, "  One bold link (docs/http01.md) and here.\n\n  - `a`: Do a.\n\n  - item goes on");
    }
}
