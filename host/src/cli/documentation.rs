//! `docs/cli.md` is complete: every verb, option, event and error code stands in it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeSet;

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
    let source = include_str!("output/event.rs");
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
fn every_error_code_is_documented() {
    let codes = tombolo::failure::ErrorCode::ALL.iter();
    let codes: BTreeSet<String> = codes.map(ToString::to_string).collect();
    assert_eq!(codes, listed("Error codes"));
}
