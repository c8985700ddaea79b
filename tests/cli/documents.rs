//! The documents mention only files, headings, recipes and options that exist, and have short lines.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::event_schema::EventSchema;

/// Documents in the repository's root; all others are in `docs/`.
const ROOT_DOCUMENTS: [&str; 4] = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
];

/// What the path of a file in the repository starts with.
const FOLDERS: [&str; 8] = [
    "host/",
    "plugins/",
    "tests/",
    "wit/",
    "docs/",
    "fuzz/",
    "examples/",
    ".ci/",
];

/// What the name of a file ends with that a document may mention without its folder.
const ENDINGS: [&str; 3] = [".rs", ".wit", ".md"];

/// Documents whose options are all those of `tombolo`; `docs/cli.md` has the list, which is checked with the code.
const OPTION_DOCUMENTS: [&str; 5] = [
    "README.md",
    "SECURITY.md",
    "docs/architecture.md",
    "docs/decisions/",
    "docs/row-format.md",
];

/// The longest line, in characters.
const MAX_LINE: usize = 100;

/// What follows this line is generated.
const GENERATED: &str = "<!-- figures, written by";

/// One document.
struct Document {
    /// Its path from the root.
    path: PathBuf,
    text: String,
}

/// A line of a document.
struct Line<'a> {
    /// From 1.
    number: usize,
    text: &'a str,
    /// Whether it is part of a fenced block of code.
    code: bool,
    /// Whether it is written by a program.
    generated: bool,
}

impl Document {
    fn lines(&self) -> Vec<Line<'_>> {
        let mut lines = Vec::new();
        let (mut in_code, mut generated) = (false, false);
        for (index, text) in self.text.lines().enumerate() {
            let fence = text.trim_start().starts_with("```");
            generated |= text.starts_with(GENERATED);
            lines.push(Line {
                number: index + 1,
                text,
                code: in_code || fence,
                generated,
            });
            in_code ^= fence;
        }
        lines
    }

    /// Lines that are no code.
    fn prose(&self) -> impl Iterator<Item = Line<'_>> {
        self.lines().into_iter().filter(|line| !line.code)
    }

    /// The folder that relative links start from.
    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// The names by which links reach its headings.
    fn anchors(&self) -> BTreeSet<String> {
        let headings = self.prose().filter_map(|line| {
            let title = line.text.trim_start_matches('#');
            let level = line.text.len() - title.len();
            ((1..=6).contains(&level) && title.starts_with(' ')).then(|| anchor(title.trim()))
        });
        headings.collect()
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn read(path: &Path) -> Document {
    let text = fs::read_to_string(root().join(path));
    Document {
        path: path.to_owned(),
        text: text.unwrap_or_else(|error| panic!("{}: {error}", path.display())),
    }
}

fn documents() -> Vec<Document> {
    let mut paths: Vec<PathBuf> = ROOT_DOCUMENTS.iter().map(PathBuf::from).collect();
    collect(Path::new("docs"), &mut paths);
    paths.iter().map(|path| read(path)).collect()
}

/// Adds the documents in a folder and the folders in it, sorted.
fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    for name in names {
        let path = folder.join(name);
        if root().join(&path).is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            paths.push(path);
        }
    }
}

/// The name of a heading in links, as GitHub makes it.
fn anchor(title: &str) -> String {
    let kept = title.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        _ => c.is_alphanumeric().then_some(c),
    });
    kept.flat_map(char::to_lowercase).collect()
}

/// The texts between single backticks.
fn code_spans(line: &str) -> Vec<&str> {
    let parts: Vec<&str> = line.split('`').collect();
    // An odd number of backticks leaves a part at the end that is no span.
    let spans = parts.len().saturating_sub(1) / 2;
    parts
        .into_iter()
        .skip(1)
        .step_by(2)
        .take(spans)
        .filter(|span| !span.is_empty())
        .collect()
}

/// A line without its code spans.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

/// The targets of links.
fn links(line: &str) -> Vec<String> {
    let text = without_code(line);
    let targets = text.split("](").skip(1);
    targets
        .filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()))
        .collect()
}

/// How many characters a line has, without the addresses of links, which cannot be broken.
fn length(line: &str) -> usize {
    let addresses: usize = links(line).iter().map(|link| link.chars().count()).sum();
    line.chars().count() - addresses
}

/// What braces stand for: `a/{b,c}` is `a/b` and `a/c`.
fn expand(text: &str) -> Vec<String> {
    let Some((before, rest)) = text.split_once('{') else {
        return vec![text.to_owned()];
    };
    let Some((choices, after)) = rest.split_once('}') else {
        return vec![text.to_owned()];
    };
    let expanded = choices
        .split(',')
        .map(|one| format!("{before}{one}{after}"));
    expanded.flat_map(|one| expand(&one)).collect()
}

/// The paths that a code span mentions; none if it is something else.
fn paths(span: &str) -> Vec<String> {
    let in_folder = FOLDERS.iter().any(|folder| span.starts_with(folder));
    let named = ENDINGS.iter().any(|ending| span.ends_with(ending));
    // What has blanks is a command, what has these signs stands for several files.
    if span.contains(char::is_whitespace) || span.contains(['*', '…', '<']) {
        return Vec::new();
    }
    if in_folder || named {
        expand(span)
    } else {
        Vec::new()
    }
}

/// The recipe that a code span runs: `just NAME …`.
fn recipe(span: &str) -> Option<&str> {
    let mut words = span.split_whitespace();
    let name = (words.next() == Some("just")).then(|| words.next())??;
    name.starts_with(char::is_alphabetic).then_some(name)
}

/// The option of `tombolo` that a code span begins with.
fn option(span: &str) -> Option<&str> {
    let end = span.find([' ', '=']).unwrap_or(span.len());
    let name = span.get(..end)?;
    name.starts_with("--").then_some(name)
}

/// The names of the recipes in the justfile.
fn recipes() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("justfile")).unwrap();
    let heads = text
        .lines()
        .filter(|line| line.starts_with(char::is_alphabetic));
    let heads = heads.filter_map(|line| line.split_once(':'));
    heads
        .filter_map(|(head, _)| head.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

/// What is wrong with a link of a document, if anything.
fn broken(document: &Document, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = match link.split_once('#') {
        Some((file, anchor)) => (file, Some(anchor)),
        None => (link, None),
    };
    let target = match file {
        "" => document.path.clone(),
        file => document.folder().join(file),
    };
    if !root().join(&target).exists() {
        return Some(format!("the link {link:?} leads nowhere"));
    }
    let anchor = anchor?;
    let known = read(&target).anchors();
    (!known.contains(anchor)).then(|| format!("the link {link:?} names no heading"))
}

/// Fails with all that was found, one a line.
fn report(found: &[String]) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn paths_in_documents_exist() {
    let mut found = Vec::new();
    for document in documents() {
        for line in document.prose() {
            for path in code_spans(line.text).into_iter().flat_map(paths) {
                let beside = root().join(document.folder()).join(&path);
                if !root().join(&path).exists() && !beside.exists() {
                    let (file, number) = (document.path.display(), line.number);
                    found.push(format!("{file}:{number}: `{path}` does not exist"));
                }
            }
        }
    }
    report(&found);
}

#[test]
fn links_in_documents_lead_somewhere() {
    let mut found = Vec::new();
    for document in documents() {
        for line in document.prose() {
            for wrong in links(line.text)
                .iter()
                .filter_map(|link| broken(&document, link))
            {
                found.push(format!(
                    "{}:{}: {wrong}",
                    document.path.display(),
                    line.number
                ));
            }
        }
    }
    report(&found);
}

#[test]
fn recipes_in_documents_exist() {
    let known = recipes();
    let mut found = Vec::new();
    for document in documents() {
        for line in document.prose() {
            for name in code_spans(line.text).into_iter().filter_map(recipe) {
                if !known.contains(name) {
                    let (file, number) = (document.path.display(), line.number);
                    found.push(format!("{file}:{number}: no recipe is called {name:?}"));
                }
            }
        }
    }
    report(&found);
}

#[test]
fn options_in_documents_are_those_of_the_command_line() {
    let page = read(Path::new("docs/cli.md")).text;
    let mut found = Vec::new();
    let about_tombolo = |document: &Document| {
        let name = document.path.to_string_lossy();
        OPTION_DOCUMENTS.iter().any(|start| name.starts_with(start))
    };
    for document in documents().into_iter().filter(about_tombolo) {
        for line in document.prose() {
            for name in code_spans(line.text).into_iter().filter_map(option) {
                if !page.contains(&format!("`{name}")) {
                    let (file, number) = (document.path.display(), line.number);
                    found.push(format!("{file}:{number}: no option is called {name}"));
                }
            }
        }
    }
    report(&found);
}

#[test]
fn lines_of_documents_are_short() {
    let mut found = Vec::new();
    for document in documents() {
        for line in document.prose() {
            let table = line.text.trim_start().starts_with('|');
            let length = length(line.text);
            if !table && !line.generated && length > MAX_LINE {
                let (file, number) = (document.path.display(), line.number);
                found.push(format!("{file}:{number}: {length} characters"));
            }
        }
    }
    report(&found);
}

#[test]
fn lines_are_read_as_markdown() {
    assert_eq!(
        code_spans("a `b` and `c/d.rs`, ` not closed"),
        ["b", "c/d.rs"]
    );
    assert_eq!(
        links("[a](b.md#c) and `[d](e)` and [f](https://g)"),
        ["b.md#c", "https://g"]
    );
    assert_eq!(expand("a/{b,c}/{d,e}.rs").len(), 4);
    assert_eq!(paths("tests/{exact,cli}/"), ["tests/exact/", "tests/cli/"]);
    assert!(paths("cargo test -p tombolo").is_empty());
    assert!(paths("wasi:io/*").is_empty());
    assert_eq!(recipe("just bench pg-new"), Some("bench"));
    assert_eq!(option("--conversion widen"), Some("--conversion"));
    assert_eq!(anchor("Tables, schema: `count`"), "tables-schema-count");
    assert_eq!(length("[a](b.md)"), "[a]()".len());
}

#[test]
fn every_event_of_the_schema_is_in_the_page() {
    let page = read(Path::new("docs/cli.md")).text;
    for event in EventSchema::documented().events() {
        assert!(page.contains(&format!("\n| `{event}` | ")), "{event}");
    }
}
