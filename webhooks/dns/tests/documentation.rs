//! The table of `docs/dns-providers.md` is made from the code. `make reference` writes it anew.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use certwright_dns::providers::{self, Field, Holds, Kind, Place, Presence, Provider, Tier};

const PAGE: &str = "../../docs/dns-providers.md";
const BEGIN: &str = "<!-- made by `make reference` -->\n";

#[test]
fn the_page_describes_every_provider_as_the_code_has_it() -> Result<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = fs::read_to_string(&file)?;
    let (before, _) = page.split_once(BEGIN).context("the page has no place for the table")?;
    let expected = format!("{before}{BEGIN}{}", described()?);
    if std::env::var_os("CERTWRIGHT_WRITE_DOCS").is_some() {
        fs::write(&file, expected)?;
        return Ok(());
    }
    assert!(page == expected, "{PAGE} is not as the code has it; run `make reference`");
    Ok(())
}

fn described() -> Result<String> {
    let mut text = "\n| provider | service | tier |\n| --- | --- | --- |\n".to_owned();
    for provider in providers::all() {
        let tier = match provider.tier {
            Tier::One => "1, tested",
            Tier::Two => "2, untried",
        };
        writeln!(text, "| [`{0}`](#{0}) | {1} | {tier} |", provider.name, provider.title)?;
    }
    for provider in providers::all() {
        describe(&mut text, provider)?;
    }
    Ok(text)
}

fn describe(text: &mut String, provider: &Provider) -> Result<()> {
    writeln!(text, "\n### {}\n", provider.name)?;
    writeln!(text, "[{}]({}). Default `ttl`: {}.", provider.title, provider.docs, provider.ttl)?;
    if provider.holds == Holds::One {
        write!(
            text,
            "The service keeps one value at a name and does not list it, so a second value replaces the first: "
        )?;
        writeln!(text, "a wildcard and its\nparent domain cannot be validated at the same time.")?;
    }
    if provider.needs_zone {
        writeln!(text, "`zone` is required.")?;
    }
    if let Some(note) = provider.note {
        writeln!(text, "{note}")?;
    }
    writeln!(text, "\nRights: {}\n", provider.rights)?;
    writeln!(text, "| field | contains |\n| --- | --- |")?;
    for field in provider.fields {
        let place = if field.place == Place::Credentials { "credentials" } else { "settings" };
        writeln!(text, "| `{place}.{}` | {} |", field.name, contains(field))?;
    }
    Ok(())
}

fn contains(field: &Field) -> String {
    let presence = match field.presence {
        Presence::Required => String::new(),
        Presence::Optional => " Optional.".to_owned(),
        Presence::Default(default) => format!(" Default: `{default}`."),
        Presence::UnlessAmbient => " Optional with credentials of the pod.".to_owned(),
    };
    let values = match field.kind {
        Kind::OneOf(values) => format!(" One of `{}`.", values.join("`, `")),
        _ => String::new(),
    };
    format!("{}.{values}{presence}", field.about)
}
