//! `docs/cli.md` is complete: every verb, option, event and error code stands in it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeSet;
use std::path::Path;

use clap::CommandFactory as _;

const PAGE: &str = include_str!("../../../docs/cli.md");

/// The words in backticks at the beginnings of the rows of a section's table.
fn listed(section: &str) -> BTreeSet<String> {
    let begin = PAGE.find(&format!("\n## {section}\n")).unwrap() + 1;
    let section = &PAGE[begin..];
    let end = section.find("\n## ").unwrap_or(section.len());
    section[..end]
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(word, _)| word.to_owned())
        .collect()
}

/// What stands in quotes behind each occurrence of `before` in the sources of a folder, tests left out.
fn quoted_behind(folder: &Path, before: &str, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            quoted_behind(&path, before, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            for part in text.split(before).skip(1) {
                let quoted = part.trim_start().strip_prefix('"');
                found.extend(quoted.and_then(|text| Some(text.split_once('"')?.0.to_owned())));
            }
        }
    }
}

#[test]
fn every_verb_and_option_is_documented() {
    for verb in super::Cli::command().get_subcommands() {
        let name = verb.get_name();
        assert!(PAGE.contains(&format!("tombolo {name}")), "{name}");
        for option in verb.get_arguments().filter_map(clap::Arg::get_long) {
            assert!(PAGE.contains(&format!("`--{option}")), "{name} --{option}");
        }
    }
}

#[test]
fn every_event_is_documented() {
    let source = include_str!("event.rs");
    let variants = source.split("pub enum Event").nth(1).unwrap();
    let variants = variants.split("\n}\n").next().unwrap();
    let documented = listed("Events");
    let mut names = BTreeSet::new();
    for line in variants.lines() {
        let name = line
            .strip_prefix("    ")
            .filter(|line| line.starts_with(char::is_uppercase));
        let name = name.and_then(|name| name.split([' ', '(']).next());
        names.extend(name.map(str::to_lowercase));
    }
    assert_eq!(names, documented);
}

#[test]
fn the_list_of_error_codes_is_closed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut used = BTreeSet::new();
    for folder in [root.join("src"), root.join("../plugins/engine/src")] {
        quoted_behind(&folder, "failure(", &mut used);
    }
    // Codes that stand in tables: of the host's errors, and those that a peer may send.
    let host = include_str!("../failure.rs");
    for part in host.split('(').skip(1) {
        let code = part
            .trim_start()
            .strip_prefix('"')
            .and_then(|text| text.split_once("\","));
        used.extend(code.map(|(code, _)| code.to_owned()));
    }
    let is_code = |text: &String| text.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    used.retain(is_code);

    let documented = listed("Error codes");
    let missing: Vec<_> = used.difference(&documented).collect();
    assert!(missing.is_empty(), "not in docs/cli.md: {missing:?}");
    let unused: Vec<_> = documented.difference(&used).collect();
    assert!(unused.is_empty(), "only in docs/cli.md: {unused:?}");
}
