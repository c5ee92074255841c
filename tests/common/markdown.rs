//! The documentation as its readers see it: pages, headings, links, code blocks.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A Markdown file, by its path in the repository.
pub struct Page {
    /// Such as `docs/dns01.md`.
    pub path: PathBuf,
    pub text: String,
}

/// A code block.
pub struct Block {
    /// The info string after the fence, such as `yaml,values`; empty for an indented block.
    pub mark: String,
    pub code: String,
}

/// The pages of the book: everything in `docs` except the table of contents.
pub fn book() -> Result<Vec<Page>> {
    let mut paths = Vec::new();
    collect(Path::new("docs"), "md", &mut paths)?;
    paths.retain(|path| path != Path::new("docs/SUMMARY.md"));
    paths.into_iter().map(Page::read).collect()
}

/// Adds the files below `folder` with this extension, in order.
pub fn collect(folder: &Path, extension: &str, into: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(root().join(folder)).with_context(|| folder.display().to_string())?;
    let mut names = entries.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>>>()?;
    names.sort();
    for name in names {
        let path = folder.join(name);
        if root().join(&path).is_dir() {
            collect(&path, extension, into)?;
        } else if path.extension().is_some_and(|found| found == extension) {
            into.push(path);
        }
    }
    Ok(())
}

impl Page {
    pub fn read(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let text = fs::read_to_string(root().join(&path)).with_context(|| path.display().to_string())?;
        Ok(Self { path, text })
    }

    /// The targets of its links, as written.
    pub fn links(&self) -> Vec<String> {
        let links = self.events().filter_map(|event| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                Some(dest_url.into_string())
            }
            _ => None,
        });
        links.collect()
    }

    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut inside = false;
        for event in self.events() {
            match event {
                Event::Start(Tag::CodeBlock(kind)) => {
                    let mark = match kind {
                        CodeBlockKind::Fenced(mark) => mark.into_string(),
                        CodeBlockKind::Indented => String::new(),
                    };
                    blocks.push(Block { mark, code: String::new() });
                    inside = true;
                }
                Event::End(TagEnd::CodeBlock) => inside = false,
                Event::Text(text) if inside => {
                    if let Some(block) = blocks.last_mut() {
                        block.code.push_str(&text);
                    }
                }
                _ => {}
            }
        }
        blocks
    }

    /// Its text without code.
    pub fn prose(&self) -> String {
        let mut prose = String::new();
        let mut code = false;
        for event in self.events() {
            match event {
                Event::Start(Tag::CodeBlock(_)) => code = true,
                Event::End(TagEnd::CodeBlock) => code = false,
                Event::Text(text) if !code => prose.push_str(&text),
                Event::Start(Tag::Link { .. })
                | Event::End(TagEnd::Link | TagEnd::Emphasis | TagEnd::Strong) => {}
                _ => prose.push('\n'),
            }
        }
        prose
    }

    /// The possible link targets after `#`: headings, with the ids that mdBook and the usual forges derive from them, and ids in
    /// HTML.
    pub fn anchors(&self) -> BTreeSet<String> {
        let mut anchors = BTreeSet::new();
        let mut heading: Option<String> = None;
        for event in self.events() {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => anchors.extend(heading.take().map(|text| id(&text))),
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                Event::Html(html) | Event::InlineHtml(html) => {
                    anchors.extend(
                        html.split("id=\"")
                            .skip(1)
                            .filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())),
                    );
                }
                _ => {}
            }
        }
        anchors
    }

    fn events(&self) -> Parser<'_> {
        Parser::new_ext(&self.text, Options::ENABLE_TABLES)
    }
}

/// The id of a heading.
fn id(heading: &str) -> String {
    let lower = heading.trim().to_lowercase();
    let kept = lower.chars().filter(|letter| letter.is_alphanumeric() || "_- ".contains(*letter));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
