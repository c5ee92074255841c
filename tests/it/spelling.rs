//! The spelling of the documentation: American English, and the words of `docs/words.txt`.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::common::helm::root;
use crate::common::markdown::{Page, book};
use anyhow::{Context, Result, ensure};
use certwright_cluster::packages;

const WORDS: &str = "docs/words.txt";

#[test]
fn every_word_is_in_the_dictionary_or_in_our_list() -> Result<()> {
    let ours = std::fs::read_to_string(root().join(WORDS))?;
    let ours: Vec<&str> = ours.lines().collect();
    let mut unknown = Vec::new();
    for page in pages()? {
        for word in not_in_the_dictionary(&page.prose())? {
            if !ours.contains(&&*word) && !ours.contains(&&*word.to_lowercase()) {
                unknown.push(format!("{}: {word}", page.path.display()));
            }
        }
    }
    assert!(unknown.is_empty(), "correct these words, or add them to {WORDS}: {unknown:#?}");
    assert!(ours.is_sorted(), "{WORDS} is not sorted");
    Ok(())
}

#[test]
fn a_misspelled_word_is_found() -> Result<()> {
    assert_eq!(
        not_in_the_dictionary("A certifcate of the ACME CA's, over IPv6 and HTTPRoutes")?,
        ["certifcate"]
    );
    Ok(())
}

/// What people write, without what is made from the code.
fn pages() -> Result<Vec<Page>> {
    let mut pages = book()?;
    pages.retain(|page| !page.path.ends_with("api-reference.md") && !page.path.ends_with("dns-providers.md"));
    for path in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"] {
        pages.push(Page::read(path)?);
    }
    Ok(pages)
}

/// The words that hunspell does not know, without names: those with a digit, or with a capital letter
/// after the first letter.
fn not_in_the_dictionary(text: &str) -> Result<Vec<String>> {
    let hunspell = packages::find("hunspell").context("hunspell is missing. Run `make tools`")?;
    let mut command = Command::new(hunspell);
    command.args(["-l", "-d", "en_US", "-i", "utf-8"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut hunspell = command.spawn().context("cannot start hunspell")?;
    let mut stdin = hunspell.stdin.take().context("no stdin")?;
    let text = text.replace('’', "'").replace("'s", "");
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = hunspell.wait_with_output()?;
    ensure!(output.status.success(), "hunspell: {}", output.status);
    writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
    let found = String::from_utf8(output.stdout)?;
    let name = |word: &&str| {
        word.contains(|letter: char| letter.is_ascii_digit()) || word.chars().skip(1).any(char::is_uppercase)
    };
    let words: BTreeSet<_> = found.lines().filter(|word| !name(word)).map(str::to_owned).collect();
    Ok(words.into_iter().collect())
}
