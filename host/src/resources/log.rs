//! How much of a tenant's messages gets into the log.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The most messages at once, …
const BURST: u32 = 100;

/// … and how long it takes until there is room for one more.
const REFILL: Duration = Duration::from_millis(100);

/// Lets a tenant's messages into the log: a burst, then so many a second. The others are counted.
#[derive(Debug)]
pub struct LogLimit(Mutex<Messages>);

#[derive(Debug)]
struct Messages {
    room: u32,
    /// When there was room for the last time that was counted.
    filled: Instant,
    dropped: u64,
}

impl Default for LogLimit {
    fn default() -> Self {
        Self(Mutex::new(Messages {
            room: BURST,
            filled: Instant::now(),
            dropped: 0,
        }))
    }
}

impl LogLimit {
    /// Whether there is room for one more message, which is then taken.
    pub fn admits(&self) -> bool {
        let mut messages = self.messages();
        let due = messages.filled.elapsed().as_millis() / REFILL.as_millis();
        if due > 0 {
            let more = u32::try_from(due).unwrap_or(u32::MAX);
            messages.room = messages.room.saturating_add(more).min(BURST);
            messages.filled = Instant::now();
        }
        let admits = messages.room > 0;
        messages.room = messages.room.saturating_sub(1);
        admits
    }

    /// Counts a message that is not written.
    pub fn drop_one(&self) {
        let mut messages = self.messages();
        messages.dropped = messages.dropped.saturating_add(1);
    }

    /// Returns how many messages were dropped since the last time.
    pub fn take_dropped(&self) -> u64 {
        std::mem::take(&mut self.messages().dropped)
    }

    /// The fields are changed by single calls, so a poisoned lock still guards whole ones.
    fn messages(&self) -> MutexGuard<'_, Messages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_in_and_the_rest_is_counted() {
        let log = LogLimit::default();
        let mut written = 0;
        for _ in 0..1_000 {
            match log.admits() {
                true => written += 1,
                false => log.drop_one(),
            }
        }
        assert!((BURST..BURST + 20).contains(&written), "{written}");
        assert_eq!(log.take_dropped(), u64::from(1_000 - written));
        assert_eq!(log.take_dropped(), 0);
        std::thread::sleep(REFILL * 2);
        assert!(log.admits());
    }
}
