//! No two files of the sources depend on each other, directly or through others, except a module and its own submodules.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::common::markdown::collect;

#[test]
fn no_two_files_depend_on_each_other() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![PathBuf::from("src")];
    for members in ["crates", "webhooks"] {
        for entry in fs::read_dir(root.join(members))? {
            folders.push(Path::new(members).join(entry?.file_name()).join("src"));
        }
    }
    for folder in folders {
        let mut paths = Vec::new();
        collect(&folder, "rs", &mut paths)?;
        let mut texts = BTreeMap::new();
        for path in paths.into_iter().filter(|path| !is_test(path)) {
            let name = path.strip_prefix(&folder)?.with_extension("");
            let names = name.iter().map(|name| name.to_string_lossy()).filter(|name| name != "mod");
            let module = names.collect::<Vec<_>>().join("::");
            texts.insert(
                if module == "lib" { String::new() } else { module },
                fs::read_to_string(root.join(path))?,
            );
        }
        assert!(!texts.is_empty(), "there are files in {}", folder.display());
        assert_eq!(circles(&texts), [] as [Vec<String>; 0], "{}", folder.display());
    }
    Ok(())
}

#[test]
fn a_circle_is_found_also_through_reexports_and_submodules() {
    let found = |files: &[(&str, &str)]| {
        let files = [&[("", "mod a; mod b;")], files].concat();
        circles(&files.iter().map(|(module, text)| (module.to_string(), text.to_string())).collect()).len()
    };
    assert_eq!(found(&[("a", "use crate::b::B;"), ("b", "fn b() -> crate::a::A {}")]), 1);
    assert_eq!(found(&[("a", "use super::{c, b::{B, D}};"), ("b", "use crate::c::C;"), ("c", "")]), 0);
    let through = [("a", "mod x; pub use x::X;"), ("a::x", "use crate::b::B;"), ("b", "use crate::a::X;")];
    assert_eq!(found(&through), 1);
    let not_through =
        [("a", "mod x; mod y; pub use x::X; pub use y::Y;"), ("a::x", "use crate::b::B;"), ("a::y", "")];
    assert_eq!(found(&[&not_through[..], &[("b", "use crate::a::Y;")]].concat()), 0);
    let parent =
        [("a", "mod x; mod y; fn a() { x::f() }"), ("a::x", "use super::A;"), ("a::y", "use super::A;")];
    assert_eq!(found(&parent), 0);
    let siblings =
        [("a", "mod x; mod y; use y::Y;"), ("a::x", "use super::Y;"), ("a::y", "use super::x::{X as Z};")];
    assert_eq!(found(&siblings), 1);
    assert_eq!(found(&[parent[0], ("a::x", "use super::y::Y;"), ("a::y", "use super::x::X;")]), 1);
    let tests = "#[cfg(test)]\nmod tests {\n    use crate::b::B;\n}";
    assert_eq!(found(&[("a", tests), ("b", "use crate::a::A; // crate::b")]), 0);
}

fn is_test(path: &Path) -> bool {
    path.with_extension("").iter().any(|name| name == "tests")
}

/// A path in a file.
struct Import {
    segments: Vec<String>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// It stands in other code.
    Inline,
    Use,
    PubUse,
}

/// The modules of each circle.
fn circles(texts: &BTreeMap<String, String>) -> Vec<Vec<String>> {
    let modules: BTreeMap<&str, Vec<Import>> =
        texts.iter().map(|(module, text)| (module.as_str(), imports(text))).collect();
    let edges = modules.iter().map(|(&module, imports)| {
        let to = imports.iter().filter_map(|import| {
            let to = resolve(&modules, module, &import.segments, 8)?;
            // A module that only passes on what a submodule has does not depend on it.
            (to != module && !(import.kind == Kind::PubUse && is_within(to, module))).then_some(to)
        });
        (module, to.collect())
    });
    circles_among(&modules.keys().copied().collect(), &edges.collect())
}

fn circles_among(among: &BTreeSet<&str>, edges: &BTreeMap<&str, BTreeSet<&str>>) -> Vec<Vec<String>> {
    let reached = |from: &str| {
        let (mut reached, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(module) = next.pop() {
            let to = edges[module].iter().copied().filter(|to| among.contains(to));
            next.extend(to.filter(|to| reached.insert(*to)).collect::<Vec<_>>());
        }
        reached
    };
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        among.iter().map(|&module| (module, reached(module))).collect();
    let circles: BTreeSet<BTreeSet<&str>> = reached
        .iter()
        .map(|(module, to)| to.iter().copied().filter(|to| reached[to].contains(module)).collect())
        .filter(|circle: &BTreeSet<&str>| circle.len() > 1)
        .collect();
    let found = circles.iter().flat_map(|circle| {
        let top = circle.first().copied().unwrap_or_default();
        match circle.iter().all(|module| is_within(module, top)) {
            true => circles_among(&circle.iter().copied().skip(1).collect(), edges),
            false => vec![circle.iter().map(|&module| module.to_owned()).collect()],
        }
    });
    found.collect()
}

/// The module that a path in `module` leads to, if it is one of `modules`.
fn resolve<'a>(
    modules: &BTreeMap<&'a str, Vec<Import>>,
    module: &str,
    segments: &[String],
    reexports: usize,
) -> Option<&'a str> {
    let mut base: Vec<&str> = module.split("::").filter(|name| !name.is_empty()).collect();
    let mut rest = segments.iter().map(String::as_str).peekable();
    if rest.next_if_eq(&"crate").is_some() {
        base.clear();
    } else if rest.next_if_eq(&"self").is_none() && *rest.peek()? != "super" {
        modules.get(below(module, rest.peek()?).as_str())?;
    }
    while rest.next_if_eq(&"super").is_some() {
        base.pop()?;
    }
    let mut found = *modules.get_key_value(base.join("::").as_str())?.0;
    while let Some((child, _)) =
        rest.peek().and_then(|name| modules.get_key_value(below(found, name).as_str()))
    {
        found = child;
        rest.next();
    }
    let Some(name) = rest.next() else { return Some(found) };
    let passed_on = modules[found].iter().find(|import| {
        import.kind != Kind::Inline && import.segments.last().is_some_and(|last| last == name)
    });
    let Some(passed_on) = passed_on.filter(|_| reexports > 0) else { return Some(found) };
    let segments: Vec<String> = passed_on.segments.iter().cloned().chain(rest.map(str::to_owned)).collect();
    resolve(modules, found, &segments, reexports - 1).or(Some(found))
}

/// The paths in a text, outside of comments and inline tests.
fn imports(text: &str) -> Vec<Import> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code: String =
        text.lines().map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n").collect();
    let mut tokens = Vec::new();
    let mut left = code.trim_start();
    while let Some(first) = left.chars().next() {
        let word = left.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(left.len());
        let length = if left.starts_with("::") { 2 } else { word.max(first.len_utf8()) };
        let (token, after) = left.split_at(length);
        tokens.push(token);
        left = after.trim_start();
    }
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let kind = match tokens[at] {
            "use" if at > 0 && ["pub", ")"].contains(&tokens[at - 1]) => Kind::PubUse,
            "use" => Kind::Use,
            _ => Kind::Inline,
        };
        let is_path = tokens.get(at + 1) == Some(&"::") && tokens[at].starts_with(char::is_alphabetic);
        at = match kind {
            Kind::Inline if is_path => tree(&tokens, at, &[], kind, &mut found),
            Kind::Inline => at + 1,
            _ => tree(&tokens, at + 1, &[], kind, &mut found),
        };
    }
    found
}

/// Reads the path or the group of paths that begins at `start`; returns where it ends.
fn tree(tokens: &[&str], start: usize, before: &[&str], kind: Kind, found: &mut Vec<Import>) -> usize {
    let (mut at, mut segments) = (start, before.to_vec());
    while let Some(&token) = tokens.get(at) {
        if token == "{" && kind != Kind::Inline {
            at += 1;
            while tokens.get(at).is_some_and(|token| *token != "}") {
                at = tree(tokens, at, &segments, kind, found).max(at + 1);
            }
            return at + 1;
        }
        if !token.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            break;
        }
        segments.push(token);
        at += 1;
        if tokens.get(at) != Some(&"::") {
            break;
        }
        at += 1;
    }
    if at > start {
        segments.pop_if(|last| *last == "self");
        found.push(Import { segments: segments.into_iter().map(str::to_owned).collect(), kind });
    }
    if kind != Kind::Inline && tokens.get(at) == Some(&"as") { at + 2 } else { at }
}

fn below(module: &str, name: &str) -> String {
    if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") }
}

fn is_within(module: &str, of: &str) -> bool {
    of.is_empty() || module == of || module.strip_prefix(of).is_some_and(|rest| rest.starts_with("::"))
}
