//! How much one run may receive, all its tables together.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::bindings::transfers::CopyInstruction;
use crate::bindings::types::Failure;
use crate::failure::{ErrorCode, failure};

/// What a run may receive, and what it has received.
#[derive(Debug, Default)]
pub struct Quota {
    max_rows: Option<u64>,
    max_bytes: Option<u64>,
    /// Rows and bytes so far.
    received: Mutex<(u64, u64)>,
    exceeded: AtomicBool,
}

impl Quota {
    /// Returns the quota of an instruction's run.
    #[must_use]
    pub fn of(instruction: &CopyInstruction) -> Self {
        Self {
            max_rows: instruction.max_rows,
            max_bytes: instruction.max_bytes,
            ..Self::default()
        }
    }

    /// Counts what has arrived. Fails with `limit` if it is more than the run may receive; it is not counted then.
    pub fn take(&self, rows: u64, bytes: u64) -> Result<(), Failure> {
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        let all = (
            received.0.saturating_add(rows),
            received.1.saturating_add(bytes),
        );
        let over = |limit: Option<u64>, value| limit.filter(|limit| value > *limit);
        let what = match (over(self.max_rows, all.0), over(self.max_bytes, all.1)) {
            (None, None) => {
                *received = all;
                return Ok(());
            }
            (Some(limit), _) => format!("{limit} rows (--max-rows)"),
            (None, Some(limit)) => format!("{limit} bytes (--max-bytes)"),
        };
        self.exceeded.store(true, Ordering::Relaxed);
        Err(failure(
            ErrorCode::Limit,
            format!("the run may receive at most {what}, and the other site sends more"),
            "repeat the command with a higher limit to go on",
        ))
    }

    /// Forgets what was taken and has to arrive again.
    pub fn give_back(&self, rows: u64, bytes: u64) {
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        received.0 = received.0.saturating_sub(rows);
        received.1 = received.1.saturating_sub(bytes);
    }

    /// Returns true if more arrived than the run may receive.
    #[must_use]
    pub fn is_exceeded(&self) -> bool {
        self.exceeded.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn exactly_the_limit_may_arrive() {
        let quota = Quota {
            max_rows: Some(10),
            max_bytes: Some(100),
            ..Quota::default()
        };
        quota.take(10, 50).unwrap();
        let refused = quota.take(1, 0).unwrap_err();
        assert_eq!(refused.code, "limit");
        assert!(refused.message.contains("10 rows (--max-rows)"));
        quota.take(0, 50).unwrap();
        assert!(quota.is_exceeded());
        let refused = quota.take(0, u64::MAX).unwrap_err();
        assert!(refused.message.contains("100 bytes (--max-bytes)"));
    }

    #[test]
    fn without_limits_counts_do_not_overflow() {
        let quota = Quota::default();
        for _ in 0..3 {
            quota.take(u64::MAX, u64::MAX).unwrap();
        }
        assert!(!quota.is_exceeded());
    }
}
