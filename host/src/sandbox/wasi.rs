//! `wasi:io` and `wasi:cli`, which Rust's std imports before it can say why it panics. No file, socket, clock or random
//! number is behind them, and every call is paid for.

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliCtxView, WasiCliView as _};
use wasmtime_wasi::p2::bindings::cli;
use wasmtime_wasi::{WasiCtxView, WasiView};
use wasmtime_wasi_io::bindings::wasi::io::{error, poll, streams};
use wasmtime_wasi_io::poll::DynPollable;

use super::meter::CALL;
use super::store::{MAX_HANDLES, StoreState};

/// The price of a call of a stream: one write copies up to 4 KiB.
const STREAM: u64 = CALL + (4 << 10);

impl<H: Send> WasiView for StoreState<H> {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl<H: Send> StoreState<H> {
    /// The command line, for one call that is paid for.
    fn paid_cli(&mut self) -> WasiCliCtxView<'_> {
        self.meter.owe(CALL);
        self.cli()
    }

    /// The streams, for one call that is paid for.
    fn paid_streams(&mut self) -> &mut ResourceTable {
        self.meter.owe(STREAM);
        &mut self.table
    }

    /// The pollables, for one call that is paid for.
    fn paid_pollables(&mut self) -> Pollables<'_> {
        self.meter.owe(CALL);
        Pollables(&mut self.table)
    }
}

struct Streams;

impl HasData for Streams {
    type Data<'a> = &'a mut ResourceTable;
}

/// Pollables, of which at most as many are polled at once as there are handles.
struct Pollables<'a>(&'a mut ResourceTable);

struct PollablesOf;

impl HasData for PollablesOf {
    type Data<'a> = Pollables<'a>;
}

impl poll::Host for Pollables<'_> {
    async fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        if pollables.len() > MAX_HANDLES {
            return Err(wasmtime::Error::msg(format!(
                "at most {MAX_HANDLES} pollables are polled at once"
            )));
        }
        poll::Host::poll(self.0, pollables).await
    }
}

impl poll::HostPollable for Pollables<'_> {
    async fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        poll::HostPollable::block(self.0, pollable).await
    }

    async fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        poll::HostPollable::ready(self.0, pollable).await
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        poll::HostPollable::drop(self.0, pollable)
    }
}

/// Links what the standard library needs.
pub(super) fn link_std<H: Send + 'static>(
    linker: &mut Linker<StoreState<H>>,
) -> wasmtime::Result<()> {
    type State<H> = StoreState<H>;
    error::add_to_linker::<_, Streams>(linker, State::paid_streams)?;
    poll::add_to_linker::<_, PollablesOf>(linker, State::paid_pollables)?;
    streams::add_to_linker::<_, Streams>(linker, State::paid_streams)?;
    cli::environment::add_to_linker::<_, WasiCli>(linker, State::paid_cli)?;
    cli::exit::add_to_linker::<_, WasiCli>(linker, State::paid_cli)?;
    cli::stdin::add_to_linker::<_, WasiCli>(linker, State::paid_cli)?;
    cli::stdout::add_to_linker::<_, WasiCli>(linker, State::paid_cli)?;
    cli::stderr::add_to_linker::<_, WasiCli>(linker, State::paid_cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(linker, State::paid_cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(linker, State::paid_cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(linker, State::paid_cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(linker, State::paid_cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(linker, State::paid_cli)
}
