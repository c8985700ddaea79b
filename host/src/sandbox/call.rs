use tokio::sync::Semaphore;
use wasmtime::{Store, Trap};

use super::component::Plugin;
use super::engine::{Inner, Sandbox};
use super::error::{Cause, SandboxError};
use super::store::StoreState;
use crate::failure::printable;

/// After so much fuel the executor may look after others.
const YIELD_INTERVAL: u64 = 1_000_000;

/// What of a component's standard error stands in an error.
const LAST_WORDS: usize = 300;

/// One kind of call: whose, where its slots are, and how its failures are named.
pub(super) struct Calls<'a> {
    pub sandbox: &'a Sandbox,
    pub plugin: &'a Plugin,
    pub slots: fn(&Inner) -> &Semaphore,
    pub function: &'static str,
}

impl Calls<'_> {
    /// Runs one call in a fresh store, which is dropped whatever happens.
    pub async fn run<H, T>(
        &self,
        host: H,
        call: impl AsyncFnOnce(&mut Store<StoreState<H>>) -> wasmtime::Result<T>,
    ) -> Result<T, SandboxError>
    where
        H: Send + 'static,
    {
        let inner = self.sandbox.inner();
        let limits = &inner.limits;
        let _slot = (self.slots)(inner)
            .acquire()
            .await
            .map_err(|_| self.failed(Cause::Host("the host is stopping".to_owned()), ""))?;
        let mut store = Store::new(&inner.engine, StoreState::new(host, limits));
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(limits.host_call_bytes);
        // Instantiation itself uses fuel.
        store
            .set_fuel(limits.fuel)
            .and_then(|()| store.fuel_async_yield_interval(Some(YIELD_INTERVAL)))
            .map_err(|error| self.failed(Cause::Host(error.to_string()), ""))?;
        let outcome = tokio::time::timeout(limits.wall_clock, call(&mut store)).await;
        let cause = match outcome {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => {
                let refused = store.data().limiter.refused();
                cause(&error, refused, limits)
            }
            Err(_) => Cause::WallClock {
                milliseconds: limits.wall_clock.as_millis(),
            },
        };
        let stderr = store.data().stderr.contents();
        let stderr = last_words(&stderr);
        Err(self.failed(cause, &stderr))
    }

    fn failed(&self, cause: Cause, stderr: &str) -> SandboxError {
        SandboxError::Call {
            plugin: self.plugin.name().to_owned(),
            digest: self.plugin.digest().prefix(),
            function: self.function,
            cause,
            stderr: stderr.to_owned(),
        }
    }
}

fn cause(error: &wasmtime::Error, refused: Option<usize>, limits: &super::Limits) -> Cause {
    if let Some(wanted) = refused {
        return Cause::OutOfMemory {
            wanted,
            limit: limits.memory_bytes,
        };
    }
    if error.downcast_ref::<wasmtime_wasi::I32Exit>().is_some() {
        return Cause::Exit;
    }
    let text = format!("{error:#}");
    match error.downcast_ref::<Trap>() {
        Some(Trap::UnreachableCodeReached) => Cause::Panic,
        Some(Trap::OutOfFuel) => Cause::OutOfFuel { fuel: limits.fuel },
        // Large frames overflow the shadow stack, which lies in linear memory.
        Some(Trap::StackOverflow) | Some(Trap::MemoryOutOfBounds) => Cause::StackOverflow,
        Some(trap) => Cause::Trap(trap.to_string()),
        None if text.contains("fuel allocated for hostcalls") => Cause::HostCallData,
        None => Cause::Trap(printable(&text)),
    }
}

/// The end of what a component wrote, on one line and without control characters.
fn last_words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let text = printable(text.trim());
    let skip = text.chars().count().saturating_sub(LAST_WORDS);
    text.chars().skip(skip).collect()
}
