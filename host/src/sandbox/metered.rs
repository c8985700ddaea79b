//! All that the role `engine` imports, metered: each call pays before it is done, and for its answer.

use super::meter::Meter;
use crate::bindings::access::{Admission, Scope};
use crate::bindings::database::{DatabaseInfo, DescribedTable, RowCount, TableSummary};
use crate::bindings::http::{Request, Response};
use crate::bindings::services::Level;
use crate::bindings::state::{Entry, Lifetime};
use crate::bindings::transfers::{CopyInstruction, RunEvent};
use crate::bindings::types::{
    self, CreateOptions, DdlPlan, Dialect, Error, Peer, SessionFacts, TableFacts, TableSchema,
    Verdict,
};
use crate::bindings::{
    EngineHost, Refusal, access, database, ddl, http, services, sessions, state, transfers,
};

/// A question to the system or to memory; its bytes are paid for.
const QUESTION: u64 = 0;

/// A look at the tenant's state, or a change of it.
const STATE: u64 = 10_000;

/// A question to a database.
const DATABASE: u64 = 100_000;

/// A call of another component, beside the fuel that it uses.
const COMPONENT: u64 = 100_000;

/// A request to a peer, or a run that starts.
const WORK: u64 = 1_000_000;

/// The host's side of a call, and what it costs.
pub(super) struct Metered<'a, H> {
    pub host: &'a mut H,
    pub meter: &'a mut Meter,
}

/// Each function of an interface with its price.
macro_rules! metered {
    ($($interface:ident { $($price:ident $name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)* })*) => {$(
        impl<H: EngineHost> $interface::Host for Metered<'_, H> {
            $(async fn $name(&mut self, $($argument: $type),*) -> $answer {
                self.meter.pay($price, &($(&$argument,)*)).await?;
                let answer = <H as $interface::Host>::$name(self.host, $($argument),*).await;
                let owed = self.host.take_owed();
                if let Ok(answer) = &answer {
                    self.meter.pay(owed, answer).await?;
                } else {
                    self.meter.owe(owed);
                }
                answer
            })*
        }
    )*};
}

metered! {
    access {
        STATE admit(scope: Scope, owner: String) -> Result<Admission, Refusal>;
        STATE revoke(admission: String) -> Result<(), Refusal>;
        STATE release(admission: String, run: String) -> Result<(), Refusal>;
        STATE keep_credential(base_url: String, secret: String) -> Result<String, Refusal>;
    }
    database {
        QUESTION info(database: String) -> Result<DatabaseInfo, Refusal>;
        DATABASE fingerprint(database: String) -> Result<String, Refusal>;
        DATABASE tables(database: String) -> Result<Vec<TableSummary>, Refusal>;
        DATABASE describe(database: String, table: String) -> Result<TableSchema, Refusal>;
        DATABASE describe_all(database: String, tables: Vec<String>, counts: bool, facts: bool)
            -> Result<Vec<DescribedTable>, Refusal>;
        DATABASE facts(database: String, table: String) -> Result<Option<TableFacts>, Refusal>;
        DATABASE known_types(database: String, types: Vec<String>) -> Result<Vec<String>, Refusal>;
        DATABASE widened(database: String, table: String) -> Result<Vec<String>, Refusal>;
        DATABASE count(database: String, table: String) -> Result<RowCount, Refusal>;
    }
    ddl {
        COMPONENT create_table(dialect: Dialect, incoming: TableSchema, options: CreateOptions)
            -> Result<DdlPlan, Refusal>;
    }
    http {
        WORK send(peer: Peer, request: Request) -> Result<Response, Refusal>;
    }
    services {
        QUESTION now() -> wasmtime::Result<u64>;
        QUESTION random(length: u32) -> Result<Vec<u8>, Refusal>;
        QUESTION sha256(data: Vec<u8>) -> wasmtime::Result<Vec<u8>>;
        STATE owner_alive(owner: String) -> Result<bool, Refusal>;
        QUESTION log(level: Level, message: String) -> wasmtime::Result<()>;
    }
    sessions {
        COMPONENT new_code(entropy: Vec<u8>) -> Result<String, Refusal>;
        COMPONENT normalize(code: String) -> Result<String, Refusal>;
        COMPONENT decide(facts: SessionFacts) -> Result<Verdict, Refusal>;
    }
    state {
        STATE get(key: String) -> Result<Option<Entry>, Refusal>;
        STATE put(key: String, value: Vec<u8>, if_version: Option<u64>, lifetime: Lifetime)
            -> Result<Option<u64>, Refusal>;
        STATE delete(key: String) -> Result<bool, Refusal>;
        STATE list(prefix: String, after: Option<String>, limit: u32) -> Result<Vec<Entry>, Refusal>;
    }
    transfers {
        WORK start(instruction: CopyInstruction) -> Result<String, Refusal>;
        WORK compare(instruction: CopyInstruction) -> Result<String, Refusal>;
        STATE cancel(run: String) -> Result<(), Refusal>;
        STATE request_step(run: String) -> Result<(), Refusal>;
        STATE publish(topic: String, event: RunEvent) -> Result<(), Refusal>;
    }
}

impl<H: EngineHost> types::Host for Metered<'_, H> {
    fn convert_error(&mut self, refusal: Refusal) -> wasmtime::Result<Error> {
        self.host.convert_error(refusal)
    }
}
