//! The output of a finished process: its events, its report or its error.

use std::fmt;
use std::process::ExitStatus;
use std::sync::LazyLock;

use serde_json::Value;

use super::event_schema::EventSchema;

/// What every event that a test reads is checked against.
static SCHEMA: LazyLock<EventSchema> = LazyLock::new(EventSchema::documented);

/// The exit status and the output of a process.
pub struct Outcome {
    pub command: String,
    pub status: ExitStatus,
    pub stdout: Vec<String>,
    pub stderr: String,
}

impl Outcome {
    /// Checks the exit code.
    pub fn expect_exit(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{self:?}");
        self
    }

    /// The events of `--json`.
    pub fn events(&self) -> Vec<Value> {
        parse(&self.stdout)
    }

    /// The events of a kind.
    pub fn events_of(&self, kind: &str) -> Vec<Value> {
        let mut events = self.events();
        events.retain(|event| event["event"] == kind);
        events
    }

    /// The report of a process that completed, which is its last event. The exit code says whether rows were rejected.
    pub fn done(self) -> Report {
        let report = match self.events().pop() {
            Some(event) if event["event"] == "done" => Report(event),
            _ => panic!("no report at the end of {self:?}"),
        };
        let failed = |table: &Value| table["failed"].as_u64().unwrap_or_default();
        let rejected: u64 = report.entries().iter().map(failed).sum();
        assert_eq!(report.0["rejected"], rejected, "{self:?}");
        let share = self.command.contains("\"share\"");
        let code = if rejected > 0 && !share { 5 } else { 0 };
        self.expect_exit(code);
        report
    }

    /// The one error of a process that failed with exit code 1; checks its code.
    pub fn error(self, code: &str) -> Failure {
        let failure = self.failure();
        assert_eq!(failure.code, code, "{failure:?}");
        failure
    }

    /// The one error of a process that failed with exit code 1.
    pub fn failure(self) -> Failure {
        let outcome = self.expect_exit(1);
        let errors = outcome.events_of("error");
        let [error] = errors.as_slice() else {
            panic!("not exactly one error event: {outcome:?}");
        };
        let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        let failure = Failure {
            code: text("code"),
            message: text("message"),
            hint: text("hint"),
        };
        assert!(!failure.message.is_empty(), "{outcome:?}");
        assert!(outcome.events_of("done").is_empty(), "{outcome:?}");
        failure
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status.to_string();
        show(
            formatter,
            &self.command,
            &status,
            &self.stdout,
            &self.stderr,
        )
    }
}

/// The content of an `error` event.
#[derive(Debug)]
pub struct Failure {
    pub code: String,
    pub message: String,
    pub hint: String,
}

impl Failure {
    /// Checks that the message contains all of these.
    pub fn names(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(
                self.message.contains(part),
                "{part:?} is not in the message: {self:?}"
            );
        }
        self
    }

    /// Checks that it has a hint.
    pub fn has_hint(self) -> Self {
        assert!(!self.hint.is_empty(), "no hint: {self:?}");
        self
    }
}

/// A `done` event.
#[derive(Debug)]
pub struct Report(pub Value);

/// How many rows of a table had which result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub created: u64,
    pub updated: u64,
    pub same: u64,
    pub skipped: u64,
    pub failed: u64,
}

impl Counts {
    /// Only created rows.
    pub fn created(rows: u64) -> Self {
        Self {
            created: rows,
            ..Self::default()
        }
    }

    /// Only updated rows.
    pub fn updated(rows: u64) -> Self {
        Self {
            updated: rows,
            ..Self::default()
        }
    }

    /// Only rows that are the same on both sides.
    pub fn same(rows: u64) -> Self {
        Self {
            same: rows,
            ..Self::default()
        }
    }

    /// Only skipped rows.
    pub fn skipped(rows: u64) -> Self {
        Self {
            skipped: rows,
            ..Self::default()
        }
    }
}

impl Report {
    /// The names of the tables in the order of the report.
    pub fn tables(&self) -> Vec<String> {
        let name = |table: &Value| table["table"].as_str().unwrap().to_owned();
        self.entries().iter().map(name).collect()
    }

    /// All that it says about one table.
    pub fn entry(&self, table: &str) -> &Value {
        let found = self.entries().iter().find(|entry| entry["table"] == table);
        found.unwrap_or_else(|| panic!("no table {table:?} in {self:?}"))
    }

    /// The bytes that were transferred for a table.
    pub fn bytes(&self, table: &str) -> u64 {
        self.entry(table)["bytes"].as_u64().unwrap()
    }

    /// The counts of one table.
    pub fn counts(&self, table: &str) -> Counts {
        let entry = self.entry(table);
        let count = |name: &str| {
            entry[name]
                .as_u64()
                .unwrap_or_else(|| panic!("{name}: {self:?}"))
        };
        assert!(count("bytes") > 0, "{self:?}");
        Counts {
            created: count("created"),
            updated: count("updated"),
            same: count("same"),
            skipped: count("skipped"),
            failed: count("failed"),
        }
    }

    fn entries(&self) -> &Vec<Value> {
        let tables = self.0["tables"].as_array();
        tables.unwrap_or_else(|| panic!("{self:?}"))
    }
}

/// Parses lines of `--json`, each of which is an event as its schema says. The field `format` is checked and left out.
pub fn parse(lines: &[String]) -> Vec<Value> {
    let event = |line: &String| {
        let value = serde_json::from_str::<Value>(line);
        let mut event = value.unwrap_or_else(|_| panic!("not an event: {line:?} in {lines:#?}"));
        if let Err(reason) = SCHEMA.check(&event) {
            panic!("{reason}: {line}");
        }
        event.as_object_mut().unwrap().remove("format");
        event
    };
    lines.iter().map(event).collect()
}

/// Formats a command with its status and its output.
pub fn show(
    formatter: &mut fmt::Formatter<'_>,
    command: &str,
    status: &str,
    stdout: &[String],
    stderr: &str,
) -> fmt::Result {
    let stdout = stdout.join("\n");
    write!(
        formatter,
        "{command}\n--- {status}; stdout:\n{stdout}\n--- stderr:\n{stderr}\n---"
    )
}
