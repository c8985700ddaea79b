//! Everything that the engine asks of its host, as one trait: the imports of the component, or a site in memory in tests.

use crate::bindings::access::{self, Admission};
use crate::bindings::database::{self, DatabaseInfo, DescribedTable, TableSummary};
use crate::bindings::http::{self, Request, Response};
use crate::bindings::services::{self, Level};
use crate::bindings::state::{self, Entry, Lifetime};
use crate::bindings::transfers::{self, CopyInstruction, RunEvent};
use crate::bindings::types::{
    CreateOptions, DdlPlan, Dialect, Error, Peer, Scope, SessionFacts, TableSchema, Verdict,
};
use crate::bindings::{ddl, sessions};

/// The functions that world `engine` imports; `wit/` documents each of them.
#[allow(missing_docs, reason = "documented in wit/")]
pub trait Host {
    fn now(&self) -> u64;
    fn random(&self, length: u32) -> Result<Vec<u8>, Error>;
    fn sha256(&self, data: &[u8]) -> Vec<u8>;
    fn owner_alive(&self, owner: &str) -> Result<bool, Error>;
    fn log(&self, level: Level, message: &str);

    fn get(&self, key: &str) -> Result<Option<Entry>, Error>;
    fn put(
        &self,
        key: &str,
        value: &[u8],
        if_version: Option<u64>,
        lifetime: Lifetime,
    ) -> Result<Option<u64>, Error>;
    fn delete(&self, key: &str) -> Result<bool, Error>;
    fn list(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<Entry>, Error>;

    fn admit(&self, scope: &Scope, owner: &str) -> Result<Admission, Error>;
    fn revoke(&self, admission: &str) -> Result<(), Error>;
    fn release(&self, admission: &str, run: &str) -> Result<(), Error>;
    fn keep_credential(&self, base_url: &str, secret: &str) -> Result<String, Error>;

    fn info(&self, database: &str) -> Result<DatabaseInfo, Error>;
    fn fingerprint(&self, database: &str) -> Result<String, Error>;
    fn tables(&self, database: &str) -> Result<Vec<TableSummary>, Error>;
    fn describe_all(
        &self,
        database: &str,
        tables: &[String],
        counts: bool,
        facts: bool,
    ) -> Result<Vec<DescribedTable>, Error>;
    fn known_types(&self, database: &str, types: &[String]) -> Result<Vec<String>, Error>;
    fn widened(&self, database: &str, table: &str) -> Result<Vec<String>, Error>;

    fn send(&self, peer: &Peer, request: &Request) -> Result<Response, Error>;

    fn start(&self, instruction: &CopyInstruction) -> Result<String, Error>;
    fn compare(&self, instruction: &CopyInstruction) -> Result<String, Error>;
    fn cancel(&self, run: &str) -> Result<(), Error>;
    fn request_step(&self, run: &str) -> Result<(), Error>;
    fn publish(&self, topic: &str, event: &RunEvent) -> Result<(), Error>;

    fn new_code(&self, entropy: &[u8]) -> Result<String, Error>;
    fn normalize(&self, code: &str) -> Result<String, Error>;
    fn decide(&self, facts: SessionFacts) -> Result<Verdict, Error>;
    fn create_table(
        &self,
        dialect: &Dialect,
        incoming: &TableSchema,
        options: &CreateOptions,
    ) -> Result<DdlPlan, Error>;
}

/// The imports of the component; they can only be called inside a host.
pub struct Imports;

impl Host for Imports {
    fn now(&self) -> u64 {
        services::now()
    }

    fn random(&self, length: u32) -> Result<Vec<u8>, Error> {
        services::random(length)
    }

    fn sha256(&self, data: &[u8]) -> Vec<u8> {
        services::sha256(data)
    }

    fn owner_alive(&self, owner: &str) -> Result<bool, Error> {
        services::owner_alive(owner)
    }

    fn log(&self, level: Level, message: &str) {
        services::log(level, message);
    }

    fn get(&self, key: &str) -> Result<Option<Entry>, Error> {
        state::get(key)
    }

    fn put(
        &self,
        key: &str,
        value: &[u8],
        if_version: Option<u64>,
        lifetime: Lifetime,
    ) -> Result<Option<u64>, Error> {
        state::put(key, value, if_version, lifetime)
    }

    fn delete(&self, key: &str) -> Result<bool, Error> {
        state::delete(key)
    }

    fn list(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<Entry>, Error> {
        state::list(prefix, after, limit)
    }

    fn admit(&self, scope: &Scope, owner: &str) -> Result<Admission, Error> {
        access::admit(scope, owner)
    }

    fn revoke(&self, admission: &str) -> Result<(), Error> {
        access::revoke(admission)
    }

    fn release(&self, admission: &str, run: &str) -> Result<(), Error> {
        access::release(admission, run)
    }

    fn keep_credential(&self, base_url: &str, secret: &str) -> Result<String, Error> {
        access::keep_credential(base_url, secret)
    }

    fn info(&self, database: &str) -> Result<DatabaseInfo, Error> {
        database::info(database)
    }

    fn fingerprint(&self, database: &str) -> Result<String, Error> {
        database::fingerprint(database)
    }

    fn tables(&self, database: &str) -> Result<Vec<TableSummary>, Error> {
        database::tables(database)
    }

    fn describe_all(
        &self,
        database: &str,
        tables: &[String],
        counts: bool,
        facts: bool,
    ) -> Result<Vec<DescribedTable>, Error> {
        database::describe_all(database, tables, counts, facts)
    }

    fn known_types(&self, database: &str, types: &[String]) -> Result<Vec<String>, Error> {
        database::known_types(database, types)
    }

    fn widened(&self, database: &str, table: &str) -> Result<Vec<String>, Error> {
        database::widened(database, table)
    }

    fn send(&self, peer: &Peer, request: &Request) -> Result<Response, Error> {
        http::send(peer, request)
    }

    fn start(&self, instruction: &CopyInstruction) -> Result<String, Error> {
        transfers::start(instruction)
    }

    fn compare(&self, instruction: &CopyInstruction) -> Result<String, Error> {
        transfers::compare(instruction)
    }

    fn cancel(&self, run: &str) -> Result<(), Error> {
        transfers::cancel(run)
    }

    fn request_step(&self, run: &str) -> Result<(), Error> {
        transfers::request_step(run)
    }

    fn publish(&self, topic: &str, event: &RunEvent) -> Result<(), Error> {
        transfers::publish(topic, event)
    }

    fn new_code(&self, entropy: &[u8]) -> Result<String, Error> {
        sessions::new_code(entropy)
    }

    fn normalize(&self, code: &str) -> Result<String, Error> {
        sessions::normalize(code)
    }

    fn decide(&self, facts: SessionFacts) -> Result<Verdict, Error> {
        sessions::decide(facts)
    }

    fn create_table(
        &self,
        dialect: &Dialect,
        incoming: &TableSchema,
        options: &CreateOptions,
    ) -> Result<DdlPlan, Error> {
        ddl::create_table(dialect, incoming, options)
    }
}
