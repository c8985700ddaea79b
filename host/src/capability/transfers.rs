use super::{Caller, Capabilities};
use crate::bindings::events::Event;
use crate::bindings::transfers::{CopyOrder, Host, Notice};
use crate::bindings::types::Error;
use crate::notices::Happening;
use crate::refusal::Refusal;
use crate::tenant::{GrantedDatabase, Patterns};

impl Capabilities {
    /// What a job may do: nothing for a peer, nothing with a table that the operator did not grant.
    fn admit(
        &self,
        order: &CopyOrder,
        granted: impl Fn(&GrantedDatabase) -> &Patterns,
    ) -> Result<(), Refusal> {
        if matches!(self.caller, Caller::Peer(_)) {
            return Err(Error::Denied("a peer's request starts no job".to_owned()).into());
        }
        let database = self.tenant.database(&order.database).ok_or_else(|| {
            Error::NotFound(format!("no database is called {:?}", order.database))
        })?;
        for table in &order.tables {
            let name = &table.incoming.table;
            if !granted(database).matches(name) {
                return Err(Error::Denied(format!("table {name:?} is not granted")).into());
            }
        }
        Ok(())
    }
}

impl Host for Capabilities {
    async fn start(&mut self, order: CopyOrder) -> Result<String, Refusal> {
        self.admit(&order, GrantedDatabase::writable)?;
        Ok(self.tenant.start_pull(order)?)
    }

    async fn compare(&mut self, order: CopyOrder) -> Result<String, Refusal> {
        self.admit(&order, GrantedDatabase::readable)?;
        Ok(self.tenant.start_comparison(order)?)
    }

    async fn cancel(&mut self, run: String) -> Result<(), Refusal> {
        self.tenant.cancel_job(&run);
        Ok(())
    }

    async fn request_step(&mut self, run: String) -> Result<(), Refusal> {
        self.tenant.enqueue(Event::Step(run));
        Ok(())
    }

    async fn publish(&mut self, topic: String, notice: Notice) -> Result<(), Refusal> {
        self.tenant
            .notices()
            .publish(&topic, Happening::Notice(notice));
        Ok(())
    }
}
