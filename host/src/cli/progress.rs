//! How far a pull is: bars on a terminal, else a line a table; events for programs.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tombolo::bindings::transfers::TablePlan;
use tombolo::bindings::types::TableReport;
use tombolo::failure::printable;
use tombolo::notices::TableProgress;

use super::event::Event;
use super::output::Output;
use super::report;

/// Programs are told at most this often; the end of a table is always told.
const EVENT_INTERVAL: Duration = Duration::from_millis(250);

const BAR: &str = "{prefix:20!} [{bar:30}] {human_pos}/{human_len} rows, {per_sec}, {eta} left";

/// Shows the progress of one run.
pub struct Progress<'a> {
    output: &'a Output,
    told: Option<Instant>,
    bars: Option<MultiProgress>,
    tables: HashMap<String, Table>,
}

/// A table under way.
struct Table {
    began: Instant,
    bar: Option<ProgressBar>,
}

impl<'a> Progress<'a> {
    /// Nothing is shown yet.
    pub fn new(output: &'a Output) -> Self {
        Self {
            output,
            told: None,
            bars: output.shows_progress().then(MultiProgress::new),
            tables: HashMap::new(),
        }
    }

    /// Says something without disturbing the bars.
    pub fn note(&self, text: &str) {
        match &self.bars {
            Some(bars) => {
                let _ = bars.println(text);
            }
            None => self.output.note(text),
        }
    }

    /// Rows have arrived.
    pub fn rows(&mut self, progress: &TableProgress, plans: &[TablePlan]) {
        let now = Instant::now();
        if self.output.is_json() {
            if self
                .told
                .is_none_or(|told| now.duration_since(told) >= EVENT_INTERVAL)
            {
                self.told = Some(now);
                self.output.event(&Event::Progress {
                    table: &progress.table,
                    rows: progress.rows,
                    bytes: progress.bytes,
                });
            }
            return;
        }
        let bars = self.bars.as_ref();
        let table = self
            .tables
            .entry(progress.table.clone())
            .or_insert_with(|| Table {
                began: now,
                bar: bars.map(|bars| bars.add(bar(&progress.table, plans))),
            });
        if let Some(bar) = &table.bar {
            // An estimate may have been too low.
            bar.set_length(bar.length().unwrap_or_default().max(progress.rows));
            bar.set_position(progress.rows);
        }
    }

    /// A table is complete.
    pub fn table_done(&mut self, report: &TableReport) {
        self.output.event(&Event::Table(report.into()));
        let table = self.tables.remove(&report.table);
        if let Some(bar) = table.as_ref().and_then(|table| table.bar.as_ref()) {
            bar.finish_and_clear();
        }
        let time = table.map(|table| table.began.elapsed());
        self.note(&done_line(report, time));
    }

    /// Clears what is left of the bars.
    pub fn end(&mut self) {
        for (_, table) in self.tables.drain() {
            if let Some(bar) = table.bar {
                bar.finish_and_clear();
            }
        }
    }
}

fn bar(table: &str, plans: &[TablePlan]) -> ProgressBar {
    let expected = plans.iter().find(|plan| plan.table == table);
    let bar = ProgressBar::new(expected.map_or(0, |plan| plan.rows));
    let style = ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.progress_chars("=> "));
    bar.set_prefix(printable(table));
    bar
}

/// `orders: 100,000 rows, 1.5 MiB in 2.3 s, 43,478 rows/s`; the rate only where the time says something.
fn done_line(report: &TableReport, time: Option<Duration>) -> String {
    let rows = report::rows(report);
    let mut line = format!(
        "{}: {}, {}",
        printable(&report.table),
        report::count(rows),
        report::bytes(report.bytes)
    );
    if let Some(time) = time.filter(|time| *time >= Duration::from_millis(100)) {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "a rate for people"
        )]
        let rate = (rows as f64 / time.as_secs_f64()) as u64;
        line.push_str(&format!(
            " in {}, {} rows/s",
            report::seconds(time),
            report::number(rate)
        ));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> TableReport {
        TableReport {
            table: "orders".to_owned(),
            created: 90_000,
            updated: 10_000,
            same: 0,
            skipped: 0,
            failed: 0,
            bytes: 1_572_864,
        }
    }

    #[test]
    fn a_line_tells_rows_and_rate() {
        assert_eq!(
            done_line(&report(), Some(Duration::from_secs(2))),
            "orders: 100,000 rows, 1.50 MiB in 2.0 s, 50,000 rows/s"
        );
        assert_eq!(
            done_line(&report(), Some(Duration::from_millis(1))),
            "orders: 100,000 rows, 1.50 MiB"
        );
        assert_eq!(done_line(&report(), None), "orders: 100,000 rows, 1.50 MiB");
    }

    #[test]
    fn the_bar_has_a_valid_template() {
        assert!(ProgressStyle::with_template(BAR).is_ok());
    }

    #[test]
    fn a_table_that_is_complete_is_forgotten() {
        let output = Output::new(false);
        let mut progress = Progress::new(&output);
        let arrived = TableProgress {
            table: "orders".to_owned(),
            rows: 5,
            bytes: 50,
        };
        progress.rows(&arrived, &[]);
        assert_eq!(progress.tables.len(), 1);
        progress.table_done(&report());
        assert!(progress.tables.is_empty());
    }
}
