use super::{Caller, Capabilities};
use crate::bindings::events::Event;
use crate::bindings::transfers::{CopyInstruction, Host, RunEvent as EngineEvent};
use crate::bindings::types::Error;
use crate::refusal::Refusal;
use crate::run_events::RunEvent;
use crate::tenant::{GrantedDatabase, Patterns};

impl Capabilities {
    /// What a job may do: nothing for a peer, nothing with a table that the operator did not grant.
    fn admit(
        &self,
        instruction: &CopyInstruction,
        granted: impl Fn(&GrantedDatabase) -> &Patterns,
    ) -> Result<(), Refusal> {
        if matches!(self.caller, Caller::Peer(_)) {
            return Err(Error::Denied("a peer's request starts no job".to_owned()).into());
        }
        let database = self.tenant.database(&instruction.database).ok_or_else(|| {
            Error::NotFound(format!("no database is called {:?}", instruction.database))
        })?;
        for table in &instruction.tables {
            let name = &table.incoming.table;
            if !granted(database).matches(name) {
                return Err(Error::Denied(format!("table {name:?} is not granted")).into());
            }
        }
        Ok(())
    }
}

impl Host for Capabilities {
    async fn start(&mut self, instruction: CopyInstruction) -> Result<String, Refusal> {
        self.admit(&instruction, GrantedDatabase::writable)?;
        Ok(self.tenant.start_pull(instruction)?)
    }

    async fn compare(&mut self, instruction: CopyInstruction) -> Result<String, Refusal> {
        self.admit(&instruction, GrantedDatabase::readable)?;
        Ok(self.tenant.start_comparison(instruction)?)
    }

    async fn cancel(&mut self, run: String) -> Result<(), Refusal> {
        self.tenant.cancel_job(&run);
        Ok(())
    }

    async fn request_step(&mut self, run: String) -> Result<(), Refusal> {
        self.tenant.enqueue(Event::Step(run));
        Ok(())
    }

    async fn publish(&mut self, topic: String, notice: EngineEvent) -> Result<(), Refusal> {
        self.tenant
            .run_events()
            .publish(&topic, RunEvent::Engine(notice));
        Ok(())
    }
}
