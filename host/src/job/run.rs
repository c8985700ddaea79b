//! What all tables of a run share.

use std::sync::Arc;

use tokio::sync::watch;

use super::fetch::Source;
use crate::bindings::transfers::CopyOrder;
use crate::bindings::types::Failure;
use crate::database::Database;
use crate::failure::failure;
use crate::notices::{Happening, TableProgress};
use crate::tenant::Tenant;

/// One run.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    pub tenant: &'a Arc<Tenant>,
    pub database: &'a Arc<dyn Database>,
    pub order: &'a CopyOrder,
    pub cancelled: &'a watch::Receiver<bool>,
}

impl<'a> Run<'a> {
    /// The other site.
    pub fn source(&self) -> Source<'a> {
        Source {
            tenant: self.tenant,
            peer: &self.order.peer,
            run: &self.order.run,
        }
    }

    /// Tells how far a table is.
    pub fn tell(&self, table: &str, rows: u64, bytes: u64) {
        self.publish(Happening::Progress(TableProgress {
            table: table.to_owned(),
            rows,
            bytes,
        }));
    }

    /// Tells the followers of the run.
    pub fn publish(&self, happening: Happening) {
        self.tenant.notices().publish(&self.order.run, happening);
    }

    /// An error if the operator ended the run.
    pub fn check_cancelled(&self) -> Result<(), Failure> {
        if *self.cancelled.borrow() {
            return Err(failure(
                "cancelled",
                "the pull was cancelled",
                "what is committed is complete; pull again for the rest",
            ));
        }
        Ok(())
    }
}
