//! The book in a browser, on a phone and on a desktop: nothing is wider than the window, every image is there, and every link leads
//! somewhere. All pages are frames of one page, which `browser/inspect.js` looks at.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::helm::root;
use anyhow::{Context, Result, ensure};
use certwright_cluster::packages;

/// The width of a phone and of a desktop window, in CSS pixels.
const WIDTHS: [u32; 2] = [390, 1280];

#[test]
fn no_page_is_wider_than_its_window_and_no_link_is_dead() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let book = build(directory.path())?;
    let pages = pages(&book)?;
    ensure!(pages.len() > 60, "there are pages: {}", pages.len());
    assert_eq!(inspect(directory.path(), &pages)?, Vec::<String>::new());
    Ok(())
}

#[test]
fn a_wide_page_a_dead_link_and_a_missing_image_are_found() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let page = directory.path().join("page.html");
    let wide = "<p style='width: 600px'>wide</p>";
    let hidden = "<div style='overflow-x: auto'><p style='width: 600px'>within reach</p></div>";
    let links =
        "<a href='page.html#here' id='here'></a> <a href='page.html#there'></a> <a href='gone.html'></a>";
    fs::write(&page, format!("<body><main><h1>Page</h1>{wide}{hidden}{links}<img src='gone.svg'></main>"))?;
    let found = inspect(directory.path(), &[page])?;
    let expected = [
        "page.html at 390: p ends at 608: wide",
        "page.html at 390: there is no gone.svg",
        "page.html at 390: page.html#there leads nowhere",
        "page.html at 390: gone.html leads nowhere",
        "page.html at 1280: there is no gone.svg",
        "page.html at 1280: page.html#there leads nowhere",
        "page.html at 1280: gone.html leads nowhere",
    ];
    assert_eq!(found, expected);
    Ok(())
}

/// Builds the book as `make docs` does.
fn build(directory: &Path) -> Result<PathBuf> {
    let mut command = Command::new("make");
    command.arg("docs").env_remove("MAKEFLAGS").env("CARGO_TARGET_DIR", directory).current_dir(root());
    let output = command.output().context("cannot start make")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "run `make docs`; it fails here: {said}");
    Ok(directory.join("book"))
}

/// The pages of the book, without those that have other pages within them.
fn pages(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            pages.extend(self::pages(&path)?);
        } else if name.ends_with(".html") && !["print.html", "toc.html", "404.html"].contains(&&*name) {
            pages.push(path);
        }
    }
    Ok(pages)
}

/// What is wrong with pages.
fn inspect(directory: &Path, pages: &[PathBuf]) -> Result<Vec<String>> {
    let mut html = "<!doctype html><meta charset=utf-8><pre>nothing was inspected</pre>".to_owned();
    for page in pages {
        for width in WIDTHS {
            write!(html, "<iframe width={width} height=800 src='file://{}'></iframe>", page.display())?;
        }
    }
    let script = root().join("tests/it/browser/inspect.js");
    write!(html, "<script src='file://{}'></script>", script.display())?;
    let file = directory.join("frames.html");
    fs::write(&file, html)?;
    let chromium = packages::find("chromium").context("chromium is missing. Run `make tools`")?;
    let mut command = Command::new("timeout");
    command.arg("300").arg(chromium);
    // A page of ours needs no protection from another; and files count as strangers to each other otherwise.
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]);
    command.arg(format!("--user-data-dir={}", directory.join("profile").display()));
    command.arg("--dump-dom").arg(format!("file://{}", file.display()));
    let output = command.stdin(Stdio::null()).output().context("cannot start chromium")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "chromium: {}: {said}", output.status);
    let shown = String::from_utf8(output.stdout)?;
    let found = shown.split_once("<pre>").and_then(|(_, rest)| rest.split_once("</pre>"));
    let (found, _) = found.with_context(|| format!("chromium shows nothing: {said}"))?;
    let frames = format!("inspected {} frames", pages.len() * WIDTHS.len());
    let mut lines = found.lines();
    ensure!(lines.next() == Some(&frames), "not {frames}: {found}");
    Ok(lines.map(str::to_owned).collect())
}
