//! The events of `--json`, one a line. `docs/cli.md` lists them all; fields may be added, none is ever removed.

use serde::Serialize;
use tombolo::bindings::transfers::{TableComparison, TablePlan};
use tombolo::bindings::types::{Failure, Stored, TableReport};

use super::schema::Schema;

/// One event.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event<'a> {
    /// `share`: the code is ready.
    Session {
        /// The one-time code.
        code: &'a str,
        /// Where the other side finds us.
        url: &'a str,
        /// Until when a first claim is accepted, RFC 3339 in UTC.
        expires_at: &'a str,
        /// How many tables are shared.
        tables: usize,
    },
    /// `share`: somebody used the code.
    Claimed {
        /// Who, in their own words.
        claimer: &'a str,
    },
    /// `share`: the other side has all rows of a table.
    Sent {
        /// Which.
        table: &'a str,
        /// Rows sent.
        rows: u64,
        /// Bytes sent.
        bytes: u64,
    },
    /// `pull`: what will happen. Nothing has been written.
    Planned {
        /// The run's id.
        run: &'a str,
        /// In the order in which they come.
        tables: Vec<PlannedTable<'a>>,
    },
    /// `pull`: how far a table is.
    Progress {
        /// Which.
        table: &'a str,
        /// Rows received.
        rows: u64,
        /// Bytes received.
        bytes: u64,
    },
    /// `pull` and `diff`: the line broke, and is tried again.
    Interrupted {
        /// The table under way.
        table: &'a str,
        /// What broke, for programs.
        code: &'a str,
        /// What broke.
        message: &'a str,
    },
    /// `pull`: a table is complete.
    Table(Report<'a>),
    /// `pull` and `share`: all is complete; the last event.
    Done {
        /// The run's id; `share` has none.
        #[serde(skip_serializing_if = "Option::is_none")]
        run: Option<&'a str>,
        /// What became of the rows.
        tables: Vec<Report<'a>>,
    },
    /// `diff`: a row that differs.
    Difference {
        /// Its table.
        table: &'a str,
        /// `new`: at the peer only; `changed`: on both sides; `local_only`: in the local table only.
        kind: &'a str,
        /// Its key, for people.
        key: &'a str,
    },
    /// `diff` and `pull --dry-run`: how all tables differ; the last event.
    Differences {
        /// The run's id.
        run: &'a str,
        /// One a table.
        tables: Vec<TableDifferences<'a>>,
    },
    /// `rejects`: a row that was not taken in.
    Rejected {
        /// The run, as the ledger names it.
        run: &'a str,
        /// The table.
        table: &'a str,
        /// Its number in the order of arrival, from 1.
        row: u64,
        /// Its key, for people.
        key: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// `clean`: a table of Tombolo's own that was removed.
    Removed {
        /// Its name.
        table: &'a str,
    },
    /// `tables`: one name.
    Listed {
        /// The name.
        table: &'a str,
        /// `table`, `view` or what the database calls it.
        kind: &'a str,
        /// Rows of a table; not there for anything else.
        #[serde(skip_serializing_if = "Option::is_none")]
        rows: Option<u64>,
        /// False: an estimate.
        #[serde(skip_serializing_if = "Option::is_none")]
        exact: Option<bool>,
    },
    /// `schema`: the table.
    Schema(Schema<'a>),
    /// `count`: the number.
    Count {
        /// Which.
        table: &'a str,
        /// Rows.
        rows: u64,
        /// False: an estimate.
        exact: bool,
    },
    /// `demo`: a command that is run.
    Command {
        /// As a person would type it.
        line: &'a str,
    },
    /// `demo`: a table of both files was compared.
    Compared {
        /// Which.
        table: &'a str,
        /// Rows in the source.
        rows: u64,
        /// Rows that are the same in both files.
        equal: u64,
        /// Rows that only the source has.
        missing: u64,
        /// Rows with the same key that differ.
        different: u64,
        /// Rows that only the target has.
        surplus: u64,
    },
    /// `demo`: the end.
    Demo {
        /// Rows compared.
        rows: u64,
        /// Rows that differ, or are on one side only.
        differences: u64,
        /// From the start of the transfer to its end.
        milliseconds: u64,
    },
    /// Any verb: it failed; the last event.
    Error {
        /// For programs.
        code: &'a str,
        /// What happened, where and why.
        message: &'a str,
        /// What to do next; may be empty.
        hint: &'a str,
    },
}

impl<'a> From<&'a Failure> for Event<'a> {
    fn from(failure: &'a Failure) -> Self {
        Self::Error {
            code: &failure.code,
            message: &failure.message,
            hint: &failure.hint,
        }
    }
}

/// One table of a plan.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedTable<'a> {
    table: &'a str,
    strategy: &'a str,
    rows: u64,
    exact: bool,
    create: bool,
    local_rows: u64,
    not_carried: &'a [String],
    statements: &'a [String],
    continued: bool,
}

impl<'a> From<&'a TablePlan> for PlannedTable<'a> {
    fn from(plan: &'a TablePlan) -> Self {
        Self {
            table: &plan.table,
            strategy: &plan.strategy,
            rows: plan.rows,
            exact: plan.exact,
            create: plan.create,
            local_rows: plan.local_rows,
            not_carried: &plan.not_carried,
            statements: &plan.statements,
            continued: plan.continued,
        }
    }
}

/// How a table differs between the two sides.
#[derive(Clone, Debug, Serialize)]
pub struct TableDifferences<'a> {
    table: &'a str,
    remote: u64,
    local: u64,
    new: u64,
    changed: u64,
    same: u64,
    local_only: u64,
}

impl<'a> From<&'a TableComparison> for TableDifferences<'a> {
    fn from(compared: &'a TableComparison) -> Self {
        Self {
            table: &compared.table,
            remote: compared.remote,
            local: compared.local,
            new: compared.new,
            changed: compared.changed,
            same: compared.same,
            local_only: compared.local_only,
        }
    }
}

/// What became of a table's rows.
#[derive(Clone, Debug, Serialize)]
pub struct Report<'a> {
    table: &'a str,
    created: u64,
    updated: u64,
    same: u64,
    skipped: u64,
    failed: u64,
    bytes: u64,
    snapshots: u32,
    stored: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    triggers: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changed: Vec<Changed<'a>>,
}

/// A column in which values were changed to fit.
#[derive(Clone, Debug, Serialize)]
pub struct Changed<'a> {
    column: &'a str,
    values: u64,
}

impl<'a> From<&'a TableReport> for Report<'a> {
    fn from(report: &'a TableReport) -> Self {
        let (stored, triggers): (&str, &[String]) = match &report.stored {
            Stored::Verified => ("verified", &[]),
            Stored::ChangedBy(triggers) => ("changed", triggers),
            Stored::Unverified(_) | Stored::Other(_) => ("unverified", &[]),
        };
        let changed = report.changed.iter().map(|changes| Changed {
            column: &changes.column,
            values: changes.values,
        });
        Self {
            changed: changed.collect(),
            snapshots: report.snapshots,
            stored,
            triggers,
            table: &report.table,
            created: report.created,
            updated: report.updated,
            same: report.same,
            skipped: report.skipped,
            failed: report.failed,
            bytes: report.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use tombolo::bindings::types::ColumnChanges;

    fn json(event: &Event<'_>) -> String {
        serde_json::to_string(event).unwrap()
    }

    #[test]
    fn the_promised_events_look_as_promised() {
        let session = Event::Session {
            code: "A7X9K2M4",
            url: "http://127.0.0.1:7432",
            expires_at: "2026-01-02T03:04:05Z",
            tables: 4,
        };
        assert_eq!(
            json(&session),
            r#"{"event":"session","code":"A7X9K2M4","url":"http://127.0.0.1:7432","expires_at":"2026-01-02T03:04:05Z","tables":4}"#
        );
        let report = TableReport {
            table: "orders".to_owned(),
            created: 1,
            updated: 2,
            same: 3,
            skipped: 4,
            failed: 5,
            bytes: 6,
            snapshots: 1,
            stored: Stored::Verified,
            changed: Vec::new(),
        };
        let done = Event::Done {
            run: Some("r1"),
            tables: vec![(&report).into()],
        };
        assert_eq!(
            json(&done),
            r#"{"event":"done","run":"r1","tables":[{"table":"orders","created":1,"updated":2,"same":3,"skipped":4,"failed":5,"bytes":6,"snapshots":1,"stored":"verified"}]}"#
        );
        assert!(
            json(&Event::Table((&report).into()))
                .starts_with(r#"{"event":"table","table":"orders","created":1,"#)
        );
        let lossy = TableReport {
            changed: vec![ColumnChanges {
                column: "price".to_owned(),
                values: 3,
            }],
            ..report
        };
        assert!(
            json(&Event::Table((&lossy).into()))
                .ends_with(r#""changed":[{"column":"price","values":3}]}"#)
        );
        let failed = tombolo::failure::failure(tombolo::failure::ErrorCode::Denied, "no", "ask");
        assert_eq!(
            json(&(&failed).into()),
            r#"{"event":"error","code":"denied","message":"no","hint":"ask"}"#
        );
    }
}
