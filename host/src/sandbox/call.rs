//! One call of a component in a fresh store, bounded by fuel, wall clock and memory.

use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::Semaphore;
use wasmtime::{Store, Trap, UpdateDeadline};

use super::component::Plugin;
use super::engine::{Inner, Sandbox};
use super::error::{Cause, HostFault, SandboxError};
use super::limits::{Limits, Refused};
use super::meter::{Ended, too_long};
use super::output::Output;
use super::store::StoreState;
use crate::printable::printable;
use crate::weight::weigh;

/// After so much fuel, about 0.1 ms, the executor looks after others. Epochs do the same for a component that does
/// little but ask the host for something that takes longer.
const YIELD_INTERVAL: u64 = 100_000;

/// The longest parts of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Longest {
    /// Of a text or a list of bytes, in bytes.
    pub text: u64,
    /// Of any other list, in elements.
    pub list: u64,
}

/// One kind of call: whose, where its slots are, and how its failures are named.
pub(super) struct Calls<'a> {
    pub sandbox: &'a Sandbox,
    pub plugin: &'a Plugin,
    pub slots: fn(&Inner) -> &Semaphore,
    pub function: &'static str,
    pub longest: Longest,
    /// How long a call waits for its slot; none: as long as it takes.
    pub patience: Option<Duration>,
}

/// What became of a call.
pub struct Answer<T> {
    /// What the component returned.
    pub outcome: Result<T, SandboxError>,
    /// The fuel that was used for it, what the host did for it included.
    pub fuel: u64,
}

impl Calls<'_> {
    /// Runs one call in a fresh store, which is dropped whatever happens.
    pub async fn run<H, T>(
        &self,
        host: H,
        call: impl AsyncFnOnce(&mut Store<StoreState<H>>) -> wasmtime::Result<T>,
    ) -> Answer<T>
    where
        H: Send + 'static,
        T: Serialize,
    {
        let inner = self.sandbox.inner();
        let limits = &inner.limits;
        let not_begun = |reason: String| Answer {
            outcome: Err(self.failed(Cause::Host(reason), "")),
            fuel: 0,
        };
        let slot = (self.slots)(inner).acquire();
        let slot = match self.patience {
            None => slot.await,
            Some(patience) => match tokio::time::timeout(patience, slot).await {
                Ok(slot) => slot,
                Err(_) => {
                    return Answer {
                        outcome: Err(SandboxError::Busy {
                            calls: limits.concurrent_calls,
                        }),
                        fuel: 0,
                    };
                }
            },
        };
        let Ok(_slot) = slot else {
            return not_begun("the host is stopping".to_owned());
        };
        let _ticking = inner.ticker.run();
        let deadline = Instant::now() + limits.wall_clock;
        let mut store = Store::new(&inner.engine, StoreState::new(host, inner, deadline));
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(limits.host_call_bytes);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|store| {
            store.data().meter.check()?;
            Ok(UpdateDeadline::YieldCustom(
                1,
                Box::pin(tokio::task::yield_now()),
            ))
        });
        // Instantiation itself uses fuel.
        let fuelled = store
            .set_fuel(limits.fuel)
            .and_then(|()| store.fuel_async_yield_interval(Some(YIELD_INTERVAL)));
        if let Err(error) = fuelled {
            return not_begun(error.to_string());
        }
        let outcome = tokio::time::timeout(limits.wall_clock, call(&mut store)).await;
        let left = store.get_fuel().unwrap_or(0);
        let state = store.data();
        let fuel = limits
            .fuel
            .saturating_sub(left)
            .saturating_add(state.meter.spent());
        let cause = match outcome {
            // Found here where the component returned before it was looked at again.
            Ok(Ok(_)) if state.meter.overdrawn() => Cause::OutOfHostFuel { fuel: limits.fuel },
            Ok(Ok(value)) => match too_long(&weigh(&value), self.longest.text, self.longest.list) {
                None => {
                    self.show(&state.stderr);
                    return Answer {
                        outcome: Ok(value),
                        fuel,
                    };
                }
                Some(reason) => Cause::TooLong(reason),
            },
            Ok(Err(error)) => cause(&error, state.limiter.refused(), limits),
            Err(_) => late(limits),
        };
        Answer {
            outcome: Err(self.failed(cause, &state.stderr.last_words())),
            fuel,
        }
    }

    /// Shows authors of components what theirs printed; after a failure, the error does.
    fn show(&self, printed: &Output) {
        if tracing::enabled!(tracing::Level::DEBUG) {
            let words = printed.last_words();
            if !words.is_empty() {
                let (plugin, function) = (printable(self.plugin.name()), self.function);
                tracing::debug!("plugin {plugin:?} printed in {function}: {words}");
            }
        }
    }

    /// The failure of this call.
    pub fn failed(&self, cause: Cause, stderr: &str) -> SandboxError {
        SandboxError::Call {
            plugin: self.plugin.name().to_owned(),
            digest: self.plugin.digest().prefix(),
            function: self.function,
            cause,
            stderr: stderr.to_owned(),
        }
    }
}

fn late(limits: &Limits) -> Cause {
    Cause::WallClock {
        milliseconds: limits.wall_clock.as_millis(),
    }
}

fn cause(error: &wasmtime::Error, refused: Option<Refused>, limits: &Limits) -> Cause {
    match Ended::of(error) {
        Some(Ended::Late) => return late(limits),
        Some(Ended::Overdrawn) => return Cause::OutOfHostFuel { fuel: limits.fuel },
        None => {}
    }
    if error.is::<HostFault>() {
        return Cause::Host(printable(&error.root_cause().to_string()));
    }
    match refused {
        Some(Refused::Call(wanted)) => {
            return Cause::OutOfMemory {
                wanted,
                limit: limits.memory_bytes,
            };
        }
        Some(Refused::All) => {
            return Cause::NoMemoryLeft {
                limit: limits.memory_bytes_in_all,
            };
        }
        None => {}
    }
    if error.is::<wasmtime_wasi::I32Exit>() {
        return Cause::Exit;
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::UnreachableCodeReached) => Cause::Panic,
        Some(Trap::OutOfFuel) => Cause::OutOfFuel { fuel: limits.fuel },
        Some(Trap::StackOverflow) => Cause::StackOverflow,
        // Large frames overflow the shadow stack, which lies in linear memory.
        Some(Trap::MemoryOutOfBounds) => Cause::OutOfBounds,
        Some(trap) => Cause::Trap(trap.to_string()),
        None => {
            let text = error.root_cause().to_string();
            // wasmtime has no type for this error.
            if text.contains("fuel allocated for hostcalls") {
                Cause::HostCallData
            } else {
                Cause::Trap(printable(&text))
            }
        }
    }
}
