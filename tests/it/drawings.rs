//! `make drawings` draws `docs/images` from `docs/drawings`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::helm::root;
use crate::common::markdown::{Page, book, collect};
use anyhow::{Result, ensure};
use aws_lc_rs::digest::{SHA256, digest};

/// What all drawings have in common.
const STYLE: &str = "docs/drawings/style.d2";

#[test]
fn each_drawing_is_of_its_source() -> Result<()> {
    let style = fs::read(root().join(STYLE))?;
    for source in sources()? {
        let both = [style.clone(), fs::read(root().join(&source))?].concat();
        let mut hash = String::new();
        digest(&SHA256, &both).as_ref().iter().try_for_each(|byte| write!(hash, "{byte:02x}"))?;
        let drawing = drawing(&source);
        let drawn = fs::read_to_string(root().join(&drawing))?;
        let (drawing, source) = (drawing.display(), source.display());
        assert!(drawn.contains(&hash), "{drawing} is older than {source}: run `make drawings`");
    }
    Ok(())
}

#[test]
fn each_drawing_is_on_a_page() -> Result<()> {
    let shown: BTreeSet<String> = book()?.iter().flat_map(Page::links).collect();
    let missing: Vec<_> = sources()?
        .iter()
        .map(|source| drawing(source))
        .filter(|drawing| !shown.iter().any(|link| Path::new("docs").join(link) == *drawing))
        .collect();
    assert!(missing.is_empty(), "no page shows {missing:?}");
    Ok(())
}

fn sources() -> Result<Vec<PathBuf>> {
    let mut sources = Vec::new();
    collect(Path::new("docs/drawings"), "d2", &mut sources)?;
    sources.retain(|source| source != Path::new(STYLE));
    ensure!(!sources.is_empty(), "there are no drawings");
    Ok(sources)
}

/// The drawing of a source.
fn drawing(source: &Path) -> PathBuf {
    Path::new("docs/images").join(source.with_extension("svg").file_name().unwrap_or_default())
}
