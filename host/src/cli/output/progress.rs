//! The progress of a run: bars on a terminal, one line for each table elsewhere, events for programs.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tombolo::bindings::transfers::TablePlan;
use tombolo::bindings::types::TableReport;
use tombolo::printable::{printable, printable_lines};
use tombolo::run::{Interruption, TableProgress};

use super::Output;
use super::event::Event;
use super::report;

/// The shortest time between two `progress` events.
const EVENT_INTERVAL: Duration = Duration::from_millis(250);

/// A table that takes less time gets no bar and no rate.
const QUICK: Duration = Duration::from_millis(100);

const BAR: &str = "{prefix:20!} [{bar:30}] {human_pos}/{human_len} rows{msg}";

/// Shows the progress of one run.
pub struct Progress<'a> {
    output: &'a Output,
    last_event: Option<Instant>,
    bars: Option<MultiProgress>,
    /// When the next table started: with the run, or when the table before was complete.
    began: Instant,
    under_way: HashMap<String, UnderWay>,
}

/// A table under way.
struct UnderWay {
    began: Instant,
    bar: Option<ProgressBar>,
}

impl<'a> Progress<'a> {
    /// Shows nothing yet.
    pub fn new(output: &'a Output) -> Self {
        Self {
            output,
            last_event: None,
            bars: output.shows_progress().then(MultiProgress::new),
            began: Instant::now(),
            under_way: HashMap::new(),
        }
    }

    /// Prints a note above the bars.
    pub fn note(&self, text: &str) {
        match &self.bars {
            Some(bars) => {
                let _ = bars.println(printable_lines(text));
            }
            None => self.output.note(text),
        }
    }

    /// Starts the clock of the first table.
    pub fn begin(&mut self) {
        self.began = Instant::now();
    }

    /// Shows that rows of a table arrived.
    pub fn rows(&mut self, progress: &TableProgress, plans: &[TablePlan]) {
        if self.output.is_json()
            && self
                .last_event
                .is_none_or(|last| last.elapsed() >= EVENT_INTERVAL)
        {
            self.last_event = Some(Instant::now());
            self.output.event(&Event::Progress {
                table: &progress.table,
                rows: progress.rows,
                bytes: progress.bytes,
            });
        }
        let under_way = self.under_way.entry(progress.table.clone());
        let under_way = under_way.or_insert(UnderWay {
            began: self.began,
            bar: None,
        });
        let elapsed = under_way.began.elapsed();
        if let Some(bars) = &self.bars
            && elapsed >= QUICK
        {
            let planned = plans.iter().find(|plan| plan.table == progress.table);
            // An estimate may have been too low.
            let expected = planned.map_or(0, |plan| plan.rows).max(progress.rows);
            let message = speed(progress.rows, expected, elapsed);
            let bar = under_way
                .bar
                .get_or_insert_with(|| bars.add(bar(&progress.table, expected)));
            bar.set_length(expected);
            bar.set_message(message);
            bar.set_position(progress.rows);
        }
    }

    /// Shows that a table is complete.
    pub fn table_done(&mut self, report: &TableReport) {
        let mut began = self.began;
        if let Some(under_way) = self.under_way.remove(&report.table) {
            began = under_way.began;
            under_way.end();
        }
        self.output.event(&Event::Table(report.into()));
        self.note(&done_line(report, began.elapsed()));
        self.began = Instant::now();
    }

    /// Shows that the connection broke and is retried.
    pub fn interrupted(&mut self, interruption: &Interruption) {
        let (table, failure) = (&interruption.table, &interruption.failure);
        self.output.event(&Event::Interrupted {
            table,
            code: &failure.code,
            message: &failure.message,
        });
        let (table, message) = (printable(table), printable(&failure.message));
        self.note(&format!("{table}: {message}; retrying"));
    }

    /// Removes the bars that are left.
    pub fn end(&mut self) {
        for (_, under_way) in self.under_way.drain() {
            under_way.end();
        }
    }
}

impl UnderWay {
    fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(table: &str, expected: u64) -> ProgressBar {
    let bar = ProgressBar::new(expected);
    let style = ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.progress_chars("=> "));
    bar.set_prefix(printable(table));
    bar
}

/// Formats the table's speed so far, and the time left at it: `, 43,478 rows/s, 12 s left`.
fn speed(rows: u64, expected: u64, elapsed: Duration) -> String {
    let Some(rate) = rate(rows, elapsed).filter(|rate| *rate > 0) else {
        return String::new();
    };
    let left = expected.saturating_sub(rows).div_ceil(rate);
    let left = match (left / 3_600, left / 60 % 60, left % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    };
    format!(", {} rows/s, {left} left", report::number(rate))
}

fn rate(rows: u64, elapsed: Duration) -> Option<u64> {
    let milliseconds = u64::try_from(elapsed.as_millis()).ok()?;
    rows.saturating_mul(1_000).checked_div(milliseconds)
}

/// Formats a complete table: `orders: 100,000 rows, 1.50 MiB in 2.3 s, 43,478 rows/s`.
fn done_line(report: &TableReport, elapsed: Duration) -> String {
    let rows = report::rows(report);
    let mut line = format!(
        "{}: {}, {}",
        printable(&report.table),
        report::count(rows),
        report::bytes(report.bytes)
    );
    if elapsed >= QUICK {
        let rate = rate(rows, elapsed).unwrap_or_default();
        line.push_str(&format!(
            " in {}, {} rows/s",
            report::seconds(elapsed),
            report::number(rate)
        ));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use tombolo::bindings::types::Stored;

    fn report() -> TableReport {
        TableReport {
            table: "orders".to_owned(),
            created: 90_000,
            updated: 10_000,
            same: 0,
            skipped: 0,
            failed: 0,
            bytes: 1_572_864,
            snapshots: 1,
            stored: Stored::Verified,
            changed: Vec::new(),
        }
    }

    #[test]
    fn a_line_tells_rows_and_rate() {
        assert_eq!(
            done_line(&report(), Duration::from_secs(2)),
            "orders: 100,000 rows, 1.50 MiB in 2.0 s, 50,000 rows/s"
        );
        assert_eq!(
            done_line(&report(), Duration::from_millis(1)),
            "orders: 100,000 rows, 1.50 MiB"
        );
    }

    #[test]
    fn the_bar_tells_speed_and_time_left() {
        let at = |rows, expected, seconds| speed(rows, expected, Duration::from_secs(seconds));
        assert_eq!(at(50_000, 100_000, 1), ", 50,000 rows/s, 1 s left");
        assert_eq!(at(1_000, 91_000, 1), ", 1,000 rows/s, 1 min 30 s left");
        assert_eq!(at(10, 72_610, 1), ", 10 rows/s, 2 h 1 min left");
        assert_eq!(at(100, 100, 1), ", 100 rows/s, 0 s left");
        assert_eq!(at(0, 100, 1), "", "nothing is known yet");
        assert_eq!(at(1, u64::MAX, 0), "");
    }

    #[test]
    fn the_bar_has_a_valid_template() {
        assert!(ProgressStyle::with_template(BAR).is_ok());
    }
}
