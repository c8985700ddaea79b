//! The events of `--json`, one in each line.

use serde::Serialize;
use tombolo::bindings::transfers::{StrategyEffect, TableComparison, TablePlan};
use tombolo::bindings::types::{ChangeKind, ColumnChanges, Failure, Stored, TableReport};

use super::schema::Schema;

/// The version of the events. It changes when an event or a field is removed or means something else.
pub const FORMAT: u32 = 1;

/// One event as it is printed.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    #[serde(flatten)]
    event: &'a Event<'a>,
    format: u32,
}

impl<'a> From<&'a Event<'a>> for Line<'a> {
    fn from(event: &'a Event<'a>) -> Self {
        Self {
            event,
            format: FORMAT,
        }
    }
}

/// One event. `docs/cli.md` lists all of them; later versions add events and fields, and remove none.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event<'a> {
    /// `share`: the code is ready.
    Session {
        /// The one-time code.
        code: &'a str,
        /// The URL that is listened on.
        url: &'a str,
        /// Until when the code can be used for the first time, RFC 3339 in UTC.
        expires_at: &'a str,
        /// How many tables are shared.
        tables: usize,
    },
    /// `share`: a table is not shared, or not whole.
    LeftOut {
        /// The table.
        table: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// `share`: the code was used.
    Claimed {
        /// By whom, in their own words.
        claimer: &'a str,
    },
    /// `share`: rows of a table were sent, once or several times since the last such event.
    Sent {
        /// The table.
        table: &'a str,
        /// Rows sent.
        rows: u64,
        /// Bytes sent.
        bytes: u64,
        /// How often.
        times: u64,
    },
    /// `share`: peers sent codes that no session has.
    WrongCodes {
        /// How many since the last such event.
        count: u64,
        /// From how many addresses.
        addresses: usize,
        /// The address with the most of them.
        most_from: &'a str,
        /// How many it sent.
        most: u64,
    },
    /// `pull`: the plan is complete. Nothing has been written.
    Planned {
        /// The run's id.
        run: &'a str,
        /// One for each table, in the order in which they are written.
        tables: Vec<PlannedTable<'a>>,
    },
    /// `pull`: rows of a table arrived.
    Progress {
        /// The table.
        table: &'a str,
        /// Rows received so far.
        rows: u64,
        /// Bytes received so far.
        bytes: u64,
    },
    /// `pull` and `diff`: the connection broke, and is retried.
    Interrupted {
        /// The table under way.
        table: &'a str,
        /// The error code of what broke.
        code: &'a str,
        /// What broke, for people.
        message: &'a str,
    },
    /// `pull`: a table is complete.
    Table(Report<'a>),
    /// `pull`, `share` and `rejects --retry`: everything is complete; the last event.
    Done {
        /// The run's id; `share` has none.
        #[serde(skip_serializing_if = "Option::is_none")]
        run: Option<&'a str>,
        /// How many rows were rejected, all tables together.
        rejected: u64,
        /// One for each table.
        tables: Vec<Report<'a>>,
    },
    /// `diff`: a row that differs.
    Difference {
        /// The table.
        table: &'a str,
        /// `new`: in the remote table only; `changed`: in both; `local_only`: in the local table only.
        kind: &'a str,
        /// Its key, for people.
        key: &'a str,
    },
    /// `diff` and `pull --dry-run`: all tables are compared; the last event.
    Differences {
        /// The run's id.
        run: &'a str,
        /// One for each table.
        tables: Vec<TableDifferences<'a>>,
    },
    /// `rejects`: a row that was rejected.
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
    /// `plugin wit`: the contract.
    Contract {
        /// All its files as one.
        wit: &'a str,
    },
    /// `tables`: a table or a view.
    Listed {
        /// The name.
        table: &'a str,
        /// `table`, `view` or the database's own word.
        kind: &'a str,
        /// Rows of a table; absent for everything else.
        #[serde(skip_serializing_if = "Option::is_none")]
        rows: Option<u64>,
        /// False if the number is an estimate.
        #[serde(skip_serializing_if = "Option::is_none")]
        exact: Option<bool>,
    },
    /// `tables`: a schema whose tables are not listed.
    Elsewhere {
        /// Its name.
        schema: &'a str,
        /// How many tables it has.
        tables: u64,
    },
    /// `schema`: the columns and keys of a table.
    Schema(Schema<'a>),
    /// `count`: the number of rows.
    Count {
        /// The table.
        table: &'a str,
        /// Rows.
        rows: u64,
        /// False if the number is an estimate.
        exact: bool,
    },
    /// `demo`: a command is run.
    Command {
        /// As a person would type it.
        line: &'a str,
    },
    /// `demo`: a table of both files is compared.
    Compared {
        /// The table.
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
    /// `demo`: everything is compared; the last event.
    Demo {
        /// Rows compared.
        rows: u64,
        /// Rows that differ, or are in one file only.
        differences: u64,
        /// From the start of the transfer to its end.
        milliseconds: u64,
    },
    /// Every command: it failed; the last event.
    Error {
        /// The error code.
        code: &'a str,
        /// What happened, for people.
        message: &'a str,
        /// What to do next, for people; may be empty.
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

/// How the rows of a table differ between the two sites.
#[derive(Clone, Debug, Serialize)]
pub struct TableDifferences<'a> {
    table: &'a str,
    remote: u64,
    local: u64,
    new: u64,
    changed: u64,
    same: u64,
    local_only: u64,
    /// What a row-by-row strategy decided, if it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    decided: Option<Decided>,
}

/// How many changed rows a strategy decided in which way.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Decided {
    keep_local: u64,
    take_incoming: u64,
    write: u64,
    not_asked: u64,
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
            decided: match compared.effect {
                Some(StrategyEffect::Decided(decided)) => Some(Decided {
                    keep_local: decided.keep_local,
                    take_incoming: decided.take_incoming,
                    write: decided.write,
                    not_asked: decided.not_asked,
                }),
                _ => None,
            },
        }
    }
}

/// The counts of a table's rows.
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
    parsed: Vec<Changed<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changed: Vec<Changed<'a>>,
}

/// A column in which values were parsed or changed to fit.
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
            Stored::NothingArrived => ("nothing-arrived", &[]),
            Stored::Unverified(_) | Stored::Other(_) => ("unverified", &[]),
        };
        let (parsed, changed): (Vec<_>, Vec<_>) = report
            .changed
            .iter()
            .partition(|changes| changes.kind == ChangeKind::Parsed);
        let columns = |changes: Vec<&'a ColumnChanges>| {
            let columns = changes.into_iter().map(|changes| Changed {
                column: &changes.column,
                values: changes.values,
            });
            columns.collect()
        };
        Self {
            parsed: columns(parsed),
            changed: columns(changed),
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
impl Event<'static> {
    /// Returns one event of each kind.
    pub fn samples() -> Vec<Self> {
        std::iter::successors(Self::sample_after(None), |event| {
            Self::sample_after(Some(event))
        })
        .collect()
    }

    /// Returns the first kind, or the kind after another one. Every kind has a place in the chain, or this does not compile.
    fn sample_after(event: Option<&Self>) -> Option<Self> {
        let report = Report {
            table: "orders",
            created: 1,
            updated: 2,
            same: 3,
            skipped: 4,
            failed: 5,
            bytes: 6,
            snapshots: 1,
            stored: "changed",
            triggers: &[],
            parsed: vec![Changed {
                column: "placed_at",
                values: 4,
            }],
            changed: vec![Changed {
                column: "price",
                values: 3,
            }],
        };
        let table = "orders";
        Some(match event {
            None => Self::Session {
                code: "A7X9K2M4",
                url: "http://127.0.0.1:7432",
                expires_at: "2026-01-02T03:04:05Z",
                tables: 4,
            },
            Some(Self::Session { .. }) => Self::LeftOut {
                table,
                reason: "this login may not read it",
            },
            Some(Self::LeftOut { .. }) => Self::Claimed { claimer: "ana" },
            Some(Self::Claimed { .. }) => Self::Sent {
                table,
                rows: 1,
                bytes: 2,
                times: 1,
            },
            Some(Self::Sent { .. }) => Self::WrongCodes {
                count: 40,
                addresses: 3,
                most_from: "203.0.113.7",
                most: 37,
            },
            Some(Self::WrongCodes { .. }) => Self::Planned {
                run: "r1",
                tables: vec![PlannedTable {
                    table,
                    strategy: "skip",
                    rows: 1,
                    exact: true,
                    create: true,
                    local_rows: 0,
                    not_carried: &[],
                    statements: &[],
                    continued: false,
                }],
            },
            Some(Self::Planned { .. }) => Self::Progress {
                table,
                rows: 1,
                bytes: 2,
            },
            Some(Self::Progress { .. }) => Self::Interrupted {
                table,
                code: "truncated",
                message: "the connection broke",
            },
            Some(Self::Interrupted { .. }) => Self::Table(report),
            Some(Self::Table(_)) => Self::Done {
                run: Some("r1"),
                rejected: 5,
                tables: vec![report],
            },
            Some(Self::Done { .. }) => Self::Difference {
                table,
                kind: "new",
                key: "1",
            },
            Some(Self::Difference { .. }) => Self::Differences {
                run: "r1",
                tables: vec![TableDifferences {
                    table,
                    remote: 3,
                    local: 2,
                    new: 1,
                    changed: 0,
                    same: 2,
                    local_only: 0,
                    decided: Some(Decided {
                        keep_local: 0,
                        take_incoming: 0,
                        write: 0,
                        not_asked: 0,
                    }),
                }],
            },
            Some(Self::Differences { .. }) => Self::Rejected {
                run: "r1",
                table,
                row: 1,
                key: "1",
                reason: "the parent is missing",
            },
            Some(Self::Rejected { .. }) => Self::Removed {
                table: "tombolo_ledger",
            },
            Some(Self::Removed { .. }) => Self::Contract {
                wit: "package tombolo:sync@0.1.0;",
            },
            Some(Self::Contract { .. }) => Self::Listed {
                table,
                kind: "table",
                rows: Some(1),
                exact: Some(true),
            },
            Some(Self::Listed { .. }) => Self::Elsewhere {
                schema: "sales",
                tables: 4,
            },
            Some(Self::Elsewhere { .. }) => Self::Schema(Schema::sample()),
            Some(Self::Schema(_)) => Self::Count {
                table,
                rows: 1,
                exact: true,
            },
            Some(Self::Count { .. }) => Self::Command {
                line: "tombolo share shop.db",
            },
            Some(Self::Command { .. }) => Self::Compared {
                table,
                rows: 1,
                equal: 1,
                missing: 0,
                different: 0,
                surplus: 0,
            },
            Some(Self::Compared { .. }) => Self::Demo {
                rows: 1,
                differences: 0,
                milliseconds: 1,
            },
            Some(Self::Demo { .. }) => Self::Error {
                code: "denied",
                message: "no",
                hint: "ask",
            },
            Some(Self::Error { .. }) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

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
            rejected: 5,
            tables: vec![(&report).into()],
        };
        assert_eq!(
            json(&done),
            r#"{"event":"done","run":"r1","rejected":5,"tables":[{"table":"orders","created":1,"updated":2,"same":3,"skipped":4,"failed":5,"bytes":6,"snapshots":1,"stored":"verified"}]}"#
        );
        assert!(
            json(&Event::Table((&report).into()))
                .starts_with(r#"{"event":"table","table":"orders","created":1,"#)
        );
        let lossy = TableReport {
            changed: [
                ("price", ChangeKind::Nearest),
                ("placed_at", ChangeKind::Parsed),
            ]
            .map(|(column, kind)| ColumnChanges {
                column: column.to_owned(),
                values: 3,
                kind,
            })
            .to_vec(),
            ..report
        };
        assert!(json(&Event::Table((&lossy).into())).ends_with(
            r#""parsed":[{"column":"placed_at","values":3}],"changed":[{"column":"price","values":3}]}"#
        ));
        let failed = tombolo::failure::failure(tombolo::failure::ErrorCode::Denied, "no", "ask");
        assert_eq!(
            json(&(&failed).into()),
            r#"{"event":"error","code":"denied","message":"no","hint":"ask"}"#
        );
    }
}
