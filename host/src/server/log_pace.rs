//! Log lines that peers can cause: one now and then, with the number of those between.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The shortest time between two lines.
const INTERVAL: Duration = Duration::from_secs(10);

/// One kind of line.
#[derive(Default)]
pub struct LogPace {
    state: Mutex<(Option<Instant>, u64)>,
}

impl LogPace {
    /// Returns how many lines were left out since the last one, if it is time for another.
    pub fn due(&self) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, left_out) = &mut *state;
        if last.is_some_and(|last| last.elapsed() < INTERVAL) {
            *left_out += 1;
            return None;
        }
        *last = Some(Instant::now());
        Some(std::mem::take(left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_stands_for_many() {
        let pace = LogPace::default();
        assert_eq!(pace.due(), Some(0));
        for _ in 0..1_000 {
            assert_eq!(pace.due(), None);
        }
    }
}
