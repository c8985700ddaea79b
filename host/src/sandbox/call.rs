//! One call of a component in a fresh store, bounded by fuel, wall clock and memory.

use tokio::sync::Semaphore;
use wasmtime::{Store, Trap};

use super::component::Plugin;
use super::engine::{Inner, Sandbox};
use super::error::{Cause, HostFault, SandboxError};
use super::limits::Limits;
use super::store::StoreState;
use crate::printable::printable;

/// After so much fuel, about 0.1 ms, the executor looks after others and at the wall clock. Not more: fuel counts what a
/// component does, and it may do little but ask WASI for something that takes longer.
const YIELD_INTERVAL: u64 = 100_000;

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
        Err(self.failed(cause, &store.data().stderr.last_words()))
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

fn cause(error: &wasmtime::Error, refused: Option<usize>, limits: &Limits) -> Cause {
    if error.is::<HostFault>() {
        return Cause::Host(printable(&error.root_cause().to_string()));
    }
    if let Some(wanted) = refused {
        return Cause::OutOfMemory {
            wanted,
            limit: limits.memory_bytes,
        };
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
