//! Interface `transfers`: starts what moves rows, and tells the clients of runs and sessions.

use std::sync::Arc;

use super::limits::{MAX_ID, MAX_LABEL, MAX_NAME, check, check_length};
use super::{Caller, Capabilities, check_peer};
use crate::bindings::Refusal;
use crate::bindings::transfers::{CopyInstruction, Host, RunEvent as EngineEvent};
use crate::bindings::types::Error;
use crate::resources::{GrantedDatabase, RunEvent};

/// The most tables of one run.
const MAX_TABLES: usize = 10_000;

/// The longest id of a run that rows move under, in bytes; it stands in addresses and in the target.
const MAX_RUN: usize = 64;

impl Capabilities {
    /// Checks what an instruction may do: nothing for a peer, nothing with a table that the operator did not grant.
    fn check_instruction(
        &self,
        instruction: &CopyInstruction,
        check_table: impl Fn(&GrantedDatabase, &str) -> Result<(), Error>,
    ) -> Result<(), Refusal> {
        if matches!(self.caller, Caller::Peer(_)) {
            return Err(Error::Denied("a peer's request starts no run".to_owned()).into());
        }
        check_run(&instruction.run)?;
        check_run(&instruction.ledger)?;
        check_peer(&instruction.peer)?;
        let label = &instruction.database;
        check("a label", label, MAX_LABEL)?;
        check_length("a run", instruction.tables.len(), MAX_TABLES, "tables")?;
        let database = self
            .resources
            .database(label)
            .ok_or_else(|| Error::NotFound(format!("no database is called {label:?}")))?;
        for table in &instruction.tables {
            check("the name of a table", &table.incoming.table, MAX_NAME)?;
            check("the name of a strategy", &table.strategy, MAX_NAME)?;
            check_table(database, &table.incoming.table)?;
        }
        Ok(())
    }

    /// Checks whether the caller may act on a run or a session: a peer may not on a run that the operator's calls
    /// planned, stepped or started.
    fn check_topic(&self, topic: &str) -> Result<(), Refusal> {
        check("the id of a run or a session", topic, MAX_ID)?;
        match self.caller {
            Caller::Peer(_) if self.resources.run_events().is_of_operator(topic) => {
                let reason = "a peer's request does nothing to a run of the operator";
                Err(Error::Denied(reason.to_owned()).into())
            }
            _ => Ok(()),
        }
    }
}

/// Checks the id of a run that rows move under: 1 to 64 letters, digits and hyphens.
fn check_run(run: &str) -> Result<(), Refusal> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if run.is_empty() || run.len() > MAX_RUN || !run.bytes().all(allowed) {
        let reason = format!("the id of a run is 1 to {MAX_RUN} letters, digits and hyphens");
        return Err(Error::Invalid(reason).into());
    }
    Ok(())
}

impl Host for Capabilities {
    async fn start(&mut self, instruction: CopyInstruction) -> Result<String, Refusal> {
        self.check_instruction(&instruction, GrantedDatabase::check_writable)?;
        Ok(Arc::clone(&self.runs).pull(instruction)?)
    }

    async fn compare(&mut self, instruction: CopyInstruction) -> Result<String, Refusal> {
        self.check_instruction(&instruction, GrantedDatabase::check_readable)?;
        Ok(Arc::clone(&self.runs).compare(instruction)?)
    }

    async fn cancel(&mut self, run: String) -> Result<(), Refusal> {
        self.check_topic(&run)?;
        self.runs.cancel(&run);
        Ok(())
    }

    async fn request_step(&mut self, run: String) -> Result<(), Refusal> {
        self.check_topic(&run)?;
        if matches!(self.caller, Caller::Operator) {
            let topics = self.resources.run_events();
            topics
                .give_to_operator(&run)
                .map_err(|full| Error::Limit(full.to_string()))?;
        }
        Ok(self.runs.request_step(&run, &self.caller)?)
    }

    async fn publish(&mut self, topic: String, event: EngineEvent) -> Result<(), Refusal> {
        self.check_topic(&topic)?;
        let published = self
            .resources
            .run_events()
            .publish(&topic, RunEvent::Engine(event));
        Ok(published.map_err(|error| Error::Limit(error.to_string()))?)
    }
}
