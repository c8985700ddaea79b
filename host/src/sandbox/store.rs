//! What a store holds beside the component, and the WASI that the standard library needs.

use wasmtime::component::Linker;
use wasmtime::component::{HasData, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::p2::bindings::cli;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_io::IoView;

use super::limits::{Limits, MemoryLimiter};
use super::stderr::Stderr;

/// The most resource handles of a call: streams and pollables of std.
const MAX_HANDLES: usize = 1_024;

/// What a store holds during one call: the host's side of it, and the little that std needs.
pub struct StoreState<H> {
    pub(crate) host: H,
    wasi: WasiCtx,
    table: ResourceTable,
    pub(super) stderr: Stderr,
    pub(super) limiter: MemoryLimiter,
}

impl<H> StoreState<H> {
    pub(super) fn new(host: H, limits: &Limits) -> Self {
        let stderr = Stderr::new(limits.stderr_bytes);
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        Self {
            host,
            wasi: WasiCtxBuilder::new().stderr(stderr.clone()).build(),
            table,
            stderr,
            limiter: MemoryLimiter::new(limits.memory_bytes),
        }
    }
}

impl<H: Send> WasiView for StoreState<H> {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl<H> IoView for StoreState<H> {
    fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }
}

/// The projection from a store to the host's side of its call.
pub(super) struct HostOf<H>(std::marker::PhantomData<H>);

impl<H: 'static> HasData for HostOf<H> {
    type Data<'a> = &'a mut H;
}

/// Links `wasi:io` and `wasi:cli`, which Rust's std imports before it can say why it panics. No file, socket, clock or
/// random number is behind them.
pub(super) fn link_std<H: Send + 'static>(
    linker: &mut Linker<StoreState<H>>,
) -> wasmtime::Result<()> {
    type State<H> = StoreState<H>;
    wasmtime_wasi_io::add_to_linker_async(linker)?;
    cli::environment::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::exit::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::stdin::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::stdout::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::stderr::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(linker, State::cli)
}
