//! What the host works for one call of a component: paid for, and ended at the call's deadline.

use std::time::Instant;

use serde::Serialize;

use crate::bindings::Refusal;
use crate::bindings::types::Error;
use crate::weight::{Weight, weigh};

/// The price of every host call in units of fuel: entering the host and leaving it takes about 1 µs.
pub(super) const CALL: u64 = 1_000;

/// After so much work the executor looks after others, as it does after so much fuel.
const YIELD_INTERVAL: u64 = 100_000;

/// The longest text or list of bytes that crosses the border, in bytes: the largest answer of a peer.
const MAX_TEXT: u64 = 8 << 20;

/// The longest list that crosses the border, in elements.
const MAX_LIST: u64 = 100_000;

/// Why the host ends a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Ended {
    /// The host has done all the work that the call may ask for.
    #[error("the host has done all the work that one call may ask for")]
    Overdrawn,
    /// The call has taken too long.
    #[error("the call has taken too long")]
    Late,
}

/// Counts the work of the host for one call, in units of fuel.
#[derive(Debug)]
pub(super) struct Meter {
    spent: u64,
    limit: u64,
    /// What was spent since the executor looked after others.
    held: u64,
    deadline: Instant,
}

/// Why a host call is not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unpaid {
    /// The call of the component ends.
    #[error(transparent)]
    Ended(#[from] Ended),
    /// The component is told which limit it exceeded.
    #[error("{0}")]
    TooLong(String),
}

impl Meter {
    pub fn new(limit: u64, deadline: Instant) -> Self {
        Self {
            spent: 0,
            limit,
            held: 0,
            deadline,
        }
    }

    /// What was spent so far.
    pub fn spent(&self) -> u64 {
        self.spent
    }

    /// Takes the price of work that is done whatever it costs; [`Self::check`] ends the call afterwards.
    pub fn owe(&mut self, units: u64) {
        self.spent = self.spent.saturating_add(units);
        self.held = self.held.saturating_add(units);
    }

    /// Whether the call may go on.
    pub fn check(&self) -> Result<(), Ended> {
        if self.overdrawn() {
            Err(Ended::Overdrawn)
        } else if Instant::now() >= self.deadline {
            Err(Ended::Late)
        } else {
            Ok(())
        }
    }

    /// Whether more was asked for than is paid.
    pub fn overdrawn(&self) -> bool {
        self.spent > self.limit
    }

    /// Pays a price, and for what crosses the border. Texts and lists that are too long are refused after that.
    pub async fn pay(&mut self, price: u64, value: &impl Serialize) -> Result<(), Unpaid> {
        let weight = weigh(value);
        self.owe(price.saturating_add(weight.units));
        self.check()?;
        if self.held >= YIELD_INTERVAL {
            self.held = 0;
            tokio::task::yield_now().await;
        }
        match too_long(&weight, MAX_TEXT, MAX_LIST) {
            Some(reason) => Err(Unpaid::TooLong(reason)),
            None => Ok(()),
        }
    }
}

/// Says what of a value is too long.
pub(super) fn too_long(weight: &Weight, text: u64, list: u64) -> Option<String> {
    let Weight {
        longest_text,
        longest_list,
        ..
    } = *weight;
    if longest_text > text {
        Some(format!(
            "a text of {longest_text} bytes, and {text} are allowed"
        ))
    } else if longest_list > list {
        Some(format!(
            "a list of {longest_list} elements, and {list} are allowed"
        ))
    } else {
        None
    }
}

impl From<Unpaid> for Refusal {
    fn from(unpaid: Unpaid) -> Self {
        match unpaid {
            Unpaid::Ended(_) => Self::Trap(wasmtime::Error::new(unpaid)),
            Unpaid::TooLong(reason) => Error::Limit(reason).into(),
        }
    }
}

impl Ended {
    /// Whether an error of wasmtime is that the host ended the call.
    pub fn of(error: &wasmtime::Error) -> Option<Self> {
        match error.downcast_ref::<Unpaid>() {
            Some(Unpaid::Ended(ended)) => Some(*ended),
            Some(Unpaid::TooLong(_)) => None,
            None => error.downcast_ref::<Self>().copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn what_costs_more_than_is_left_ends_the_call() {
        let mut meter = Meter::new(2_000, Instant::now() + Duration::from_secs(60));
        meter.pay(CALL, &"four").await.unwrap();
        meter.check().unwrap();
        let Err(Unpaid::Ended(Ended::Overdrawn)) = meter.pay(CALL, &"").await else {
            panic!("it is paid");
        };
        assert!(meter.overdrawn() && meter.spent() > 2_000);
    }

    #[tokio::test]
    async fn a_late_call_ends_whatever_it_has_left() {
        let mut meter = Meter::new(u64::MAX, Instant::now());
        let late = meter.pay(0, &"").await;
        assert!(matches!(late, Err(Unpaid::Ended(Ended::Late))), "{late:?}");
    }

    #[tokio::test]
    async fn a_long_list_is_refused_by_its_length() {
        let mut meter = Meter::new(u64::MAX, Instant::now() + Duration::from_secs(60));
        let numbers = vec![1_u32; 1 + MAX_LIST as usize];
        match meter.pay(0, &numbers).await {
            Err(Unpaid::TooLong(reason)) => assert!(reason.contains("100001"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
}
