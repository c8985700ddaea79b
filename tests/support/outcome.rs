//! What a finished process said: its events, its report, or its error.

use std::fmt;
use std::process::ExitStatus;

use serde_json::Value;

/// How a process ended and what it said.
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

    /// The report of a pull that ended well: its last event.
    pub fn done(self) -> Report {
        let outcome = self.expect_exit(0);
        let last = outcome.events().pop();
        match last {
            Some(event) if event["event"] == "done" => Report(event),
            _ => panic!("no report at the end of {outcome:?}"),
        }
    }

    /// The one error of a run that failed with exit code 1.
    pub fn error(self, code: &str) -> Failure {
        let outcome = self.expect_exit(1);
        let errors = outcome.events_of("error");
        let [error] = errors.as_slice() else {
            panic!("not exactly one error event: {outcome:?}");
        };
        assert_eq!(error["code"], code, "{outcome:?}");
        let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        let failure = Failure {
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

/// What an `error` event says.
#[derive(Debug)]
pub struct Failure {
    pub message: String,
    pub hint: String,
}

impl Failure {
    /// Checks that the message names all of these.
    pub fn names(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(
                self.message.contains(part),
                "{part:?} is not named: {self:?}"
            );
        }
        self
    }

    /// Checks that it says what to do next.
    pub fn has_hint(self) -> Self {
        assert!(!self.hint.is_empty(), "no hint: {self:?}");
        self
    }
}

/// A `done` event.
#[derive(Debug)]
pub struct Report(pub Value);

/// What became of a table's rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub created: u64,
    pub updated: u64,
    pub same: u64,
    pub skipped: u64,
    pub failed: u64,
}

impl Report {
    /// The tables, in the report's order.
    pub fn tables(&self) -> Vec<String> {
        let tables = self.0["tables"]
            .as_array()
            .unwrap_or_else(|| panic!("{self:?}"));
        let name = |table: &Value| table["table"].as_str().unwrap().to_owned();
        tables.iter().map(name).collect()
    }

    /// One table's counts.
    pub fn counts(&self, table: &str) -> Counts {
        let tables = self.0["tables"]
            .as_array()
            .unwrap_or_else(|| panic!("{self:?}"));
        let found = tables.iter().find(|entry| entry["table"] == table);
        let entry = found.unwrap_or_else(|| panic!("no table {table:?} in {self:?}"));
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
}

/// Lines of `--json`: every one an object with an `event`.
pub fn parse(lines: &[String]) -> Vec<Value> {
    let event = |line: &String| match serde_json::from_str::<Value>(line) {
        Ok(value) if value["event"].is_string() => value,
        _ => panic!("not an event: {line:?} in {lines:#?}"),
    };
    lines.iter().map(event).collect()
}

/// What a process was, and all that it said.
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
