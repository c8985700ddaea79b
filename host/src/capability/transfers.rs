use super::{Caller, Capabilities};
use crate::bindings::events::Event;
use crate::bindings::transfers::{CopyOrder, Host, Notice};
use crate::bindings::types::Error;
use crate::notices::Happening;
use crate::refusal::Refusal;

impl Host for Capabilities {
    async fn start(&mut self, order: CopyOrder) -> Result<String, Refusal> {
        if matches!(self.caller, Caller::Peer(_)) {
            return Err(Error::Denied("a peer's request starts no job".to_owned()).into());
        }
        let granted = self.tenant.database(&order.database).ok_or_else(|| {
            Error::NotFound(format!("no database is called {:?}", order.database))
        })?;
        for table in &order.tables {
            if !granted.writable().matches(&table.incoming.table) {
                let name = &table.incoming.table;
                return Err(Error::Denied(format!("writing table {name:?} is not granted")).into());
            }
        }
        Ok(self.tenant.start_job(order)?)
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
