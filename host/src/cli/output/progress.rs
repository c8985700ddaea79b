//! The progress of a run: bars on a terminal, one line for each table elsewhere, events for programs.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use tombolo::bindings::transfers::TablePlan;
use tombolo::bindings::types::TableReport;
use tombolo::printable::printable;
use tombolo::run::{Interruption, TableProgress};

use super::event::Event;
use super::width::elided;
use super::{Output, live, report};

/// The shortest time between two `progress` events.
const EVENT_INTERVAL: Duration = Duration::from_millis(250);

/// A run or a table that takes less time gets no bar.
const QUICK: Duration = Duration::from_millis(100);

/// A table that takes more time gets a line where there are no bars.
const SLOW: Duration = Duration::from_secs(5);

/// The columns of a bar for the name of its table.
const NAME: usize = 24;

const BAR: &str = "{prefix:24} [{wide_bar}] {msg}";

/// Shows the progress of one run.
pub struct Progress<'a> {
    output: &'a Output,
    /// The plan of the run; empty before it is complete.
    pub plans: Vec<TablePlan>,
    last_event: Option<Instant>,
    run_began: Instant,
    /// When the next table started: with the run, or when the table before was complete.
    began: Instant,
    under_way: HashMap<String, UnderWay>,
    complete: usize,
    /// How many tables are complete, below the bars.
    total: Option<ProgressBar>,
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
            plans: Vec::new(),
            last_event: None,
            run_began: Instant::now(),
            began: Instant::now(),
            under_way: HashMap::new(),
            complete: 0,
            total: None,
        }
    }

    /// Starts the clock of the first table.
    pub fn begin(&mut self) {
        self.began = Instant::now();
        self.run_began = self.began;
    }

    /// Shows that rows of a table arrived.
    pub fn rows(&mut self, progress: &TableProgress) {
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
        let began = self.began;
        let under_way = under_way.or_insert(UnderWay { began, bar: None });
        let elapsed = under_way.began.elapsed();
        if self.output.shows_progress() && elapsed >= QUICK {
            let planned = self.plans.iter().find(|plan| plan.table == progress.table);
            // An estimate may have been too low.
            let expected = planned.map_or(0, |plan| plan.rows).max(progress.rows);
            let bar = under_way
                .bar
                .get_or_insert_with(|| bar(&progress.table, expected, self.total.as_ref()));
            bar.set_length(expected);
            bar.set_message(speed(progress.rows, expected, elapsed));
            bar.set_position(position(progress.rows, expected));
        }
    }

    /// Shows that a table is complete.
    pub fn table_done(&mut self, report: &TableReport) {
        let mut began = self.began;
        if let Some(under_way) = self.under_way.remove(&report.table) {
            began = under_way.began;
            under_way.end();
        }
        self.complete += 1;
        self.output.event(&Event::Table(report.into()));
        if self.output.shows_progress() {
            self.show_total();
        } else if began.elapsed() >= SLOW {
            self.output.note(&done_line(report, began.elapsed()));
        }
        self.began = Instant::now();
    }

    fn show_total(&mut self) {
        if self.plans.len() > 1 && self.run_began.elapsed() >= QUICK {
            let total = self.total.get_or_insert_with(live::add_line);
            total.set_message(format!("{} of {} tables", self.complete, self.plans.len()));
        }
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
        self.output.note(&format!("{table}: {message}; retrying"));
    }

    /// Returns how many tables are complete, and of how many.
    pub fn complete(&self) -> (usize, usize) {
        (self.complete, self.plans.len())
    }

    /// Returns the plan of a table of which rows have arrived and that is not complete.
    pub fn table_under_way(&self) -> Option<&TablePlan> {
        let mut plans = self.plans.iter();
        plans.find(|plan| self.under_way.contains_key(&plan.table))
    }

    /// Removes the bars that are left.
    pub fn end(&mut self) {
        for (_, under_way) in self.under_way.drain() {
            under_way.end();
        }
        if let Some(total) = self.total.take() {
            live::remove(&total);
        }
    }
}

impl UnderWay {
    fn end(self) {
        if let Some(bar) = self.bar {
            live::remove(&bar);
        }
    }
}

fn bar(table: &str, expected: u64, total: Option<&ProgressBar>) -> ProgressBar {
    let bar = match total {
        Some(total) => live::add_before(total, expected, BAR),
        None => live::add(expected, BAR),
    };
    bar.set_prefix(elided(&printable(table), NAME));
    bar
}

/// Where a bar stands: never at its end, because rows that arrived are not committed yet.
fn position(rows: u64, expected: u64) -> u64 {
    let last = expected - expected.div_ceil(50);
    rows.min(last)
}

/// Formats the table's speed so far, and the time left at it: `43,478 rows/s, 12 s left`.
fn speed(rows: u64, expected: u64, elapsed: Duration) -> String {
    if rows >= expected && rows > 0 {
        return format!("{}, storing", report::count(rows));
    }
    let Some(rate) = rate(rows, elapsed).filter(|rate| *rate > 0) else {
        return String::new();
    };
    let left = expected.saturating_sub(rows).div_ceil(rate);
    let left = match (left / 3_600, left / 60 % 60, left % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    };
    format!("{} rows/s, {left} left", report::number(rate))
}

fn rate(rows: u64, elapsed: Duration) -> Option<u64> {
    let milliseconds = u64::try_from(elapsed.as_millis()).ok()?;
    rows.saturating_mul(1_000).checked_div(milliseconds)
}

/// Formats a table that took long: `orders: complete in 12.3 s, 43,478 rows/s`.
fn done_line(report: &TableReport, elapsed: Duration) -> String {
    let rate = rate(report::rows(report), elapsed).unwrap_or_default();
    format!(
        "{}: complete in {}, {} rows/s",
        printable(&report.table),
        report::seconds(elapsed),
        report::number(rate)
    )
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
            "orders: complete in 2.0 s, 50,000 rows/s"
        );
    }

    #[test]
    fn the_bar_tells_speed_and_time_left() {
        let at = |rows, expected, seconds| speed(rows, expected, Duration::from_secs(seconds));
        assert_eq!(at(50_000, 100_000, 1), "50,000 rows/s, 1 s left");
        assert_eq!(at(1_000, 91_000, 1), "1,000 rows/s, 1 min 30 s left");
        assert_eq!(at(10, 72_610, 1), "10 rows/s, 2 h 1 min left");
        assert_eq!(at(100, 100, 1), "100 rows, storing");
        assert_eq!(at(0, 100, 1), "", "nothing is known yet");
        assert_eq!(at(1, u64::MAX, 0), "");
        let longest = at(99_999_999, u64::MAX / 1_000_000, 1);
        assert!(longest.len() < 80 - NAME - 10, "{longest}");
    }

    #[test]
    fn the_bar_is_not_full_before_the_table_is_complete() {
        for expected in [1, 2, 49, 50, 1_000_000, u64::MAX] {
            for rows in [expected, expected - 1, u64::MAX] {
                assert!(position(rows, expected) < expected, "{rows} of {expected}");
            }
        }
        assert_eq!((position(0, 0), position(500, 1_000)), (0, 500));
    }

    #[test]
    fn the_bar_has_a_valid_template() {
        assert!(indicatif::ProgressStyle::with_template(BAR).is_ok());
    }
}
