//! Lines that a peer can cause again and again: shown at once, and then more and more rarely, with what was left out.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The shortest and the longest time between two lines about the same.
const WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// When a line about the same may be shown again.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    next: Instant,
    wait: Duration,
}

impl Pace {
    /// A line may be shown at once.
    pub fn new(now: Instant) -> Self {
        Self {
            next: now,
            wait: WAITS.0,
        }
    }

    /// Whether a line may be shown. Then the next one waits twice as long, or short again after a time without any.
    pub fn take(&mut self, now: Instant) -> bool {
        let Some(late) = now.checked_duration_since(self.next) else {
            return false;
        };
        if late > WAITS.1 {
            self.wait = WAITS.0;
        }
        self.next = now + self.wait;
        self.wait = (self.wait * 2).min(WAITS.1);
        true
    }
}

/// A table that was sent, once or several times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SentRows {
    /// How often.
    pub times: u64,
    /// Rows, all times together.
    pub rows: u64,
    /// Bytes, all times together.
    pub bytes: u64,
}

/// Tables that were sent, and what of that is not shown yet.
#[derive(Default)]
pub struct SentTables {
    tables: HashMap<String, (Option<Pace>, SentRows)>,
}

impl SentTables {
    /// Notes that a table was sent, and shows it if that may be shown now.
    pub fn add(
        &mut self,
        table: &str,
        (rows, bytes): (u64, u64),
        now: Instant,
        mut show: impl FnMut(&str, SentRows),
    ) {
        let (pace, sent) = match self.tables.get_mut(table) {
            Some(found) => found,
            None => self.tables.entry(table.to_owned()).or_default(),
        };
        sent.times += 1;
        sent.rows = sent.rows.saturating_add(rows);
        sent.bytes = sent.bytes.saturating_add(bytes);
        if pace.get_or_insert(Pace::new(now)).take(now) {
            show(table, std::mem::take(sent));
        }
    }

    /// Shows what may be shown now.
    pub fn show_due(&mut self, now: Instant, mut show: impl FnMut(&str, SentRows)) {
        for (table, (pace, sent)) in &mut self.tables {
            if sent.times > 0 && pace.get_or_insert(Pace::new(now)).take(now) {
                show(table, std::mem::take(sent));
            }
        }
    }

    /// Shows the rest.
    pub fn show_all(&mut self, mut show: impl FnMut(&str, SentRows)) {
        for (table, (_, sent)) in &mut self.tables {
            if sent.times > 0 {
                show(table, std::mem::take(sent));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_is_sent_again_and_again_gives_few_lines() {
        let (mut sent, began) = (SentTables::default(), Instant::now());
        let (mut lines, mut all) = (0, SentRows::default());
        let mut add = |_: &str, more: SentRows| {
            lines += 1;
            all.times += more.times;
            all.rows += more.rows;
        };
        for millisecond in 0..100_000 {
            let now = began + Duration::from_millis(millisecond);
            sent.add("t", (2, 3), now, &mut add);
        }
        sent.show_all(&mut add);
        assert_eq!((all.times, all.rows), (100_000, 200_000));
        assert!((5..=9).contains(&lines), "{lines}");
    }

    #[test]
    fn the_first_line_of_each_table_comes_at_once() {
        let (mut sent, now) = (SentTables::default(), Instant::now());
        let mut shown = Vec::new();
        for table in ["a", "b", "a"] {
            sent.add(table, (1, 1), now, |table, _| shown.push(table.to_owned()));
        }
        assert_eq!(shown, ["a", "b"]);
        sent.show_due(now, |table, _| shown.push(table.to_owned()));
        assert_eq!(shown, ["a", "b"]);
        let later = now + WAITS.0;
        sent.show_due(later, |table, _| shown.push(table.to_owned()));
        assert_eq!(shown, ["a", "b", "a"]);
    }

    #[test]
    fn after_a_quiet_time_lines_come_quickly_again() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        let mut last = now;
        for _ in 0..10 {
            last += WAITS.1;
            assert!(pace.take(last));
        }
        assert!(!pace.take(last + WAITS.0));
        let later = last + WAITS.1 * 3;
        assert!(pace.take(later) && pace.take(later + WAITS.0));
    }
}
