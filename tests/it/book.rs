//! The user guide is complete: all pages are in the table of contents, and no link is broken.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::common::helm::root;
use crate::common::markdown::{Page, book};
use anyhow::Result;

#[test]
fn every_page_is_in_the_table_of_contents() -> Result<()> {
    let listed = linked(&Page::read("docs/SUMMARY.md")?);
    let pages: BTreeSet<PathBuf> = book()?.into_iter().map(|page| page.path).collect();
    assert!(pages.len() > 20, "there are pages: {pages:?}");
    assert_eq!(listed, pages, "the pages that docs/SUMMARY.md lists, and those that there are");
    Ok(())
}

#[test]
fn the_first_page_leads_to_every_other() -> Result<()> {
    let mut listed = linked(&Page::read("docs/README.md")?);
    listed.insert("docs/README.md".into());
    let pages: Vec<PathBuf> = book()?.into_iter().map(|page| page.path).collect();
    // Those below `docs/design` have a separate list.
    let missing: Vec<_> = pages
        .iter()
        .filter(|path| path.parent() == Some(Path::new("docs")) && !listed.contains(*path))
        .collect();
    assert!(missing.is_empty(), "docs/README.md has no row for {missing:?}");
    Ok(())
}

#[test]
fn every_link_leads_to_a_page_and_a_heading_that_exist() -> Result<()> {
    let mut pages = book()?;
    for path in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "tests/cluster/README.md"]
    {
        pages.push(Page::read(path)?);
    }
    let mut broken = Vec::new();
    let mut followed = 0;
    for page in &pages {
        for link in
            page.links().into_iter().filter(|link| !link.contains("://") && !link.starts_with("mailto:"))
        {
            followed += 1;
            if let Err(why) = follow(page, &link)? {
                broken.push(format!("{}: {link}: {why}", page.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(followed > 100, "there are links: {followed}");
    Ok(())
}

/// Why a link is broken.
fn follow(page: &Page, link: &str) -> Result<Result<(), &'static str>> {
    let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
    let path = if target.is_empty() { page.path.clone() } else { beside(&page.path, target) };
    if page.path.starts_with("docs") && !path.starts_with("docs") {
        return Ok(Err("the book ends at docs/: name the file as code, without a link"));
    }
    if !root().join(&path).exists() {
        return Ok(Err("there is no such file"));
    }
    if page.path.starts_with("docs") && root().join(&path).is_dir() {
        return Ok(Err("the book has no folders: link to a page"));
    }
    let found = anchor.is_empty() || Page::read(path)?.anchors().contains(anchor);
    Ok(if found { Ok(()) } else { Err("no heading there has this anchor") })
}

/// The pages that a page links to.
fn linked(page: &Page) -> BTreeSet<PathBuf> {
    let targets = page.links().into_iter().filter(|link| !link.contains("://"));
    targets.map(|link| beside(&page.path, link.split('#').next().unwrap_or_default())).collect()
}

/// The file that a relative link in `page` names.
fn beside(page: &Path, target: &str) -> PathBuf {
    let mut path = page.parent().map(Path::to_owned).unwrap_or_default();
    for part in Path::new(target).components() {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    path
}
