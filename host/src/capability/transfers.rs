//! Interface `transfers`: starts what moves rows, and tells the clients of runs and sessions.

use std::sync::Arc;

use super::{Caller, Capabilities};
use crate::bindings::Refusal;
use crate::bindings::transfers::{CopyInstruction, Host, RunEvent as EngineEvent};
use crate::bindings::types::Error;
use crate::resources::{GrantedDatabase, RunEvent};

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
        let label = &instruction.database;
        let database = self
            .resources
            .database(label)
            .ok_or_else(|| Error::NotFound(format!("no database is called {label:?}")))?;
        for table in &instruction.tables {
            check_table(database, &table.incoming.table)?;
        }
        Ok(())
    }
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
        self.runs.cancel(&run);
        Ok(())
    }

    async fn request_step(&mut self, run: String) -> Result<(), Refusal> {
        Ok(self.runs.request_step(&run)?)
    }

    async fn publish(&mut self, topic: String, event: EngineEvent) -> Result<(), Refusal> {
        let published = self
            .resources
            .run_events()
            .publish(&topic, RunEvent::Engine(event));
        Ok(published.map_err(|error| Error::Limit(error.to_string()))?)
    }
}
