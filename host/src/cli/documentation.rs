//! Checks that `docs/cli.md` lists every command, option, event with its fields, and error code.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::collections::BTreeMap;

use clap::CommandFactory as _;
use serde_json::Value;
use tombolo::failure::ErrorCode;

use super::output::event::{Event, Line};
use event_schema::EventSchema;

#[path = "../../../tests/support/event_schema.rs"]
mod event_schema;

const PAGE: &str = include_str!("../../../docs/cli.md");

/// The rows of a section's table by the word in backticks that they start with.
fn listed(section: &str) -> BTreeMap<&'static str, &'static str> {
    let begin = PAGE.find(&format!("\n## {section}\n")).unwrap() + 1;
    let section = &PAGE[begin..];
    let end = section.find("\n## ").unwrap_or(section.len());
    section[..end]
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .collect()
}

/// The names of all fields, those of nested objects included.
fn fields(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                names.push(name.clone());
                fields(value, names);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| fields(value, names)),
        _ => {}
    }
}

#[test]
fn every_command_and_option_is_documented() {
    for command in super::Cli::command().get_subcommands() {
        let name = command.get_name();
        assert!(PAGE.contains(&format!("tombolo {name}")), "{name}");
        for option in command.get_arguments().filter_map(clap::Arg::get_long) {
            assert!(PAGE.contains(&format!("`--{option}")), "{name} --{option}");
        }
    }
}

/// The row of an option in the table of its command.
fn row(command: &str, option: &str) -> &'static str {
    let rows = listed(command);
    let found = rows
        .into_iter()
        .find(|(name, _)| name.split(' ').next() == Some(option));
    found
        .unwrap_or_else(|| panic!("{command} {option} has no row"))
        .1
}

#[test]
fn defaults_are_documented() {
    for command in super::Cli::command().get_subcommands() {
        for option in command.get_arguments() {
            let (Some(name), [default]) = (option.get_long(), option.get_default_values()) else {
                continue;
            };
            if !option.get_action().takes_values() {
                continue;
            }
            let default = default.to_str().unwrap();
            let row = row(command.get_name(), &format!("--{name}"));
            assert!(
                row.contains(&format!(" | `{default}` | ")),
                "{name} {default}: {row}"
            );
        }
    }
}

#[test]
fn limits_are_documented() {
    let jobs = format!(", 1 to {};", tombolo::run::MAX_JOBS);
    let rows = super::output::report::number(tombolo::run::MAX_NAMED).replace(',', " ");
    for (command, option, limit) in [
        (
            "share",
            "--snapshot-limit",
            super::args::duration::snapshot_limits(),
        ),
        ("pull", "--jobs", jobs),
        ("diff", "--rows", format!("at most {rows} for each table")),
    ] {
        let row = row(command, option);
        assert!(row.contains(&limit), "{option}: {limit:?} is not in {row}");
    }
}

#[test]
fn every_event_is_documented_with_its_fields() {
    let mut documented = listed("Events");
    // Its entry refers to the fields of `table`.
    let of_a_table = documented["table"];
    for event in Event::samples() {
        let mut json = serde_json::to_value(&event).unwrap();
        let object = json.as_object_mut().unwrap();
        let name = object.remove("event").unwrap();
        let name = name.as_str().unwrap();
        let Some(row) = documented.remove(name) else {
            panic!("{name} is not documented");
        };
        let mut names = Vec::new();
        fields(&json, &mut names);
        for field in names {
            let field = format!("`{field}`");
            let found = row.contains(&field) || name == "done" && of_a_table.contains(&field);
            assert!(found, "{name}: {field} is not documented");
        }
    }
    assert!(documented.is_empty(), "no such event: {documented:?}");
}

#[test]
fn every_event_is_as_in_its_schema() {
    let schema = EventSchema::documented();
    let mut known = schema.events();
    for event in Event::samples() {
        let json = serde_json::to_value(Line::from(&event)).unwrap();
        assert_eq!(schema.check(&json), Ok(()), "{json}");
        known.retain(|name| json["event"] != *name);
    }
    assert!(known.is_empty(), "no such event: {known:?}");
}

#[test]
fn every_error_code_is_documented() {
    let documented: Vec<(&str, String)> = listed("Error codes")
        .into_iter()
        .map(|(code, row)| (code, row.trim_matches([' ', '|']).to_owned()))
        .collect();
    let codes: Vec<(&str, String)> = ErrorCode::ALL
        .iter()
        .map(|code| (code.as_str(), code.meaning().to_owned()))
        .collect();
    assert_eq!(codes, documented);
}
