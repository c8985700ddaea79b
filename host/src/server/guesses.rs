//! Wrong codes: counted by address and in all, answered later and later, and told to the owner.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::address::PeerAddress;

/// Wrong codes of one address a minute that delay nothing.
const FREE: f64 = 5.0;

/// Wrong codes of all addresses a minute that delay nothing.
const FREE_IN_ALL: f64 = 100.0;

/// The first delay; it doubles with each wrong code, and with each tenth of all.
const FIRST_DELAY: Duration = Duration::from_millis(50);

/// The longest delay. A right code that comes from the same address waits as long, and is answered within 2 s.
const LONGEST_DELAY: Duration = Duration::from_millis(750);

/// The most addresses that are counted; those with the fewest wrong codes are forgotten.
const MAX_ADDRESSES: usize = 1_024;

/// The most addresses of one report; more are counted together.
const MAX_TOLD: usize = 1_024;

/// Wrong codes since the last report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongCodes {
    /// How many.
    pub count: u64,
    /// From how many addresses: an IPv6 network of 64 bits is one. At least so many, where they are more than 1 024.
    pub addresses: usize,
    /// The address with the most of them.
    pub most_from: String,
    /// How many it sent.
    pub most: u64,
}

/// The wrong codes of a server's peers.
#[derive(Default)]
pub struct Guesses {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    by_address: HashMap<PeerAddress, Level>,
    all: Level,
    untold: HashMap<PeerAddress, u64>,
    untold_count: u64,
}

/// A count that falls by a number a minute.
#[derive(Clone, Copy)]
struct Level {
    value: f64,
    at: Instant,
}

impl Default for Level {
    fn default() -> Self {
        Self {
            value: 0.0,
            at: Instant::now(),
        }
    }
}

impl Level {
    fn now(&self, free: f64) -> f64 {
        let minutes = self.at.elapsed().as_secs_f64() / 60.0;
        (self.value - minutes * free).max(0.0)
    }

    fn add(&mut self, free: f64) {
        // Bounded, so that the delay ends soon after the guesses.
        self.value = (self.now(free) + 1.0).min(free * 4.0);
        self.at = Instant::now();
    }
}

impl Guesses {
    /// Returns how long the next code from an address waits before it is looked at.
    pub fn delay(&self, address: PeerAddress) -> Duration {
        let state = self.state();
        let own = state.by_address.get(&address);
        let own = own.map_or(0.0, |level| level.now(FREE) - FREE);
        let all = (state.all.now(FREE_IN_ALL) - FREE_IN_ALL) / 10.0;
        let excess = own.max(all);
        if excess <= 0.0 {
            return Duration::ZERO;
        }
        let factor = excess.min(16.0).exp2() / 2.0;
        FIRST_DELAY.mul_f64(factor).min(LONGEST_DELAY)
    }

    /// Counts a wrong code.
    pub fn wrong(&self, address: PeerAddress) {
        let mut state = self.state();
        if state.by_address.len() >= MAX_ADDRESSES && !state.by_address.contains_key(&address) {
            state.forget_fewest();
        }
        state.by_address.entry(address).or_default().add(FREE);
        state.all.add(FREE_IN_ALL);
        state.untold_count += 1;
        if state.untold.len() < MAX_TOLD || state.untold.contains_key(&address) {
            *state.untold.entry(address).or_default() += 1;
        }
    }

    /// Whether there are wrong codes since the last report.
    pub fn has_report(&self) -> bool {
        self.state().untold_count > 0
    }

    /// Returns the wrong codes since the last report; none if there are none.
    pub fn report(&self) -> Option<WrongCodes> {
        let mut state = self.state();
        let untold = std::mem::take(&mut state.untold);
        let count = std::mem::take(&mut state.untold_count);
        drop(state);
        let (address, most) = untold.iter().max_by_key(|(_, count)| **count)?;
        Some(WrongCodes {
            count,
            addresses: untold.len(),
            most_from: address.to_string(),
            most: *most,
        })
    }

    /// Counts are changed by single calls, so a poisoned lock still guards whole ones.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget_fewest(&mut self) {
        let levels = self.by_address.iter();
        let fewest =
            levels.min_by(|(_, one), (_, other)| one.now(FREE).total_cmp(&other.now(FREE)));
        if let Some(address) = fewest.map(|(address, _)| *address) {
            self.by_address.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::net::{IpAddr, Ipv6Addr};

    use super::*;

    fn address(number: u16) -> PeerAddress {
        IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, number, 0, 0, 0, 1)).into()
    }

    #[test]
    fn delays_grow_with_the_wrong_codes_of_an_address_and_end_at_the_longest() {
        let guesses = Guesses::default();
        let mut last = Duration::ZERO;
        for number in 0..30 {
            let delay = guesses.delay(address(1));
            assert!(delay >= last.mul_f64(0.99), "{number}: {delay:?}");
            assert_eq!(delay.is_zero(), f64::from(number) <= FREE, "{number}");
            last = delay;
            guesses.wrong(address(1));
        }
        assert_eq!(last, LONGEST_DELAY);
        assert_eq!(
            guesses.delay(address(2)),
            Duration::ZERO,
            "others do not wait"
        );
    }

    #[test]
    fn many_addresses_together_delay_everybody() {
        let guesses = Guesses::default();
        for number in 0..500 {
            guesses.wrong(address(number));
        }
        assert_eq!(guesses.delay(address(9_999)), LONGEST_DELAY);
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_worst_are_kept() {
        let guesses = Guesses::default();
        for _ in 0..20 {
            guesses.wrong(address(1));
        }
        for number in 2..3_000 {
            guesses.wrong(address(number));
        }
        let state = guesses.state();
        assert!(state.by_address.len() <= MAX_ADDRESSES && state.untold.len() <= MAX_TOLD);
        assert!(state.by_address.contains_key(&address(1)));
    }

    #[test]
    fn a_report_names_the_address_with_the_most() {
        let guesses = Guesses::default();
        assert_eq!(guesses.report(), None);
        for number in [1, 2, 2, 2, 3] {
            guesses.wrong(address(number));
        }
        let report = guesses.report().unwrap();
        assert_eq!((report.count, report.addresses, report.most), (5, 3, 3));
        assert_eq!(report.most_from, "2001:db8:0:2::/64");
        assert_eq!(guesses.report(), None);
    }
}
