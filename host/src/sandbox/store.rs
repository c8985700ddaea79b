//! What a store holds beside the component.

use std::sync::Arc;
use std::time::Instant;

use wasmtime::component::{HasData, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};

use super::engine::Inner;
use super::limits::MemoryLimiter;
use super::meter::{CALL, Meter};
use super::metered::Metered;
use super::output::Output;

/// The most resource handles of a call: streams and pollables of std.
pub(super) const MAX_HANDLES: usize = 1_024;

/// What a store holds during one call: the host's side of it, and the little that std needs.
pub struct StoreState<H> {
    host: H,
    pub(super) wasi: WasiCtx,
    pub(super) table: ResourceTable,
    /// What the component prints, on standard output too.
    pub(super) stderr: Output,
    pub(super) limiter: MemoryLimiter,
    pub(super) meter: Meter,
}

impl<H> StoreState<H> {
    pub(super) fn new(host: H, inner: &Inner, deadline: Instant) -> Self {
        let limits = &inner.limits;
        let stderr = Output::keeping(limits.stderr_bytes);
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        Self {
            host,
            wasi: WasiCtxBuilder::new()
                .stdout(stderr.clone())
                .stderr(stderr.clone())
                .build(),
            table,
            stderr,
            limiter: MemoryLimiter::new(limits, Arc::clone(&inner.memory)),
            meter: Meter::new(limits.fuel, deadline),
        }
    }

    /// The host's side, for one call of it that is paid for.
    pub(super) fn host(&mut self) -> Metered<'_, H> {
        self.meter.owe(CALL);
        Metered {
            host: &mut self.host,
            meter: &mut self.meter,
        }
    }
}

/// The projection from a store to the host's side of its call.
pub(super) struct HostOf<H>(std::marker::PhantomData<H>);

impl<H: Send + 'static> HasData for HostOf<H> {
    type Data<'a> = Metered<'a, H>;
}
