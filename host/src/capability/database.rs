//! Interface `database`: what is in the granted databases, within grants and scope.

use std::sync::Arc;

use super::limits::{MAX_LABEL, MAX_NAME, check, check_length};
use super::{Caller, Capabilities};
use crate::bindings::Refusal;
use crate::bindings::database::{DatabaseInfo, Host, RowCount, TableSummary};
use crate::bindings::types::{DbError, Error, TableFacts, TableSchema};
use crate::database::DatabaseError;
use crate::resources::{GrantedDatabase, ReadableTables};

/// The most types that one question names.
const MAX_TYPES: usize = 10_000;

impl Host for Capabilities {
    async fn info(&mut self, database: String) -> Result<DatabaseInfo, Refusal> {
        // Asked for the one who claims a code, before there is a session; it tells nothing of what is in it.
        let granted = self.labelled(&database)?;
        Ok(DatabaseInfo {
            dialect: granted.database().dialect(),
            identity: granted.database().identity(),
        })
    }

    async fn tables(&mut self, database: String) -> Result<Vec<TableSummary>, Refusal> {
        let readable = self.readable(&database)?;
        let mut tables = self.granted(&database)?.database().tables().await?;
        tables.retain(|table| readable.contains(&table.table));
        Ok(tables)
    }

    async fn describe(&mut self, database: String, table: String) -> Result<TableSchema, Refusal> {
        self.check(&database, &table)?;
        Ok(self.granted(&database)?.database().describe(&table).await?)
    }

    async fn facts(
        &mut self,
        database: String,
        table: String,
    ) -> Result<Option<TableFacts>, Refusal> {
        self.check(&database, &table)?;
        Ok(self.granted(&database)?.database().facts(&table).await?)
    }

    async fn known_types(
        &mut self,
        database: String,
        types: Vec<String>,
    ) -> Result<Vec<String>, Refusal> {
        if matches!(self.caller, Caller::Peer(_)) {
            return Err(Error::Denied("a peer needs no types of this database".to_owned()).into());
        }
        check_length("a list of types", types.len(), MAX_TYPES, "elements")?;
        for name in &types {
            check("a type", name, MAX_NAME)?;
        }
        Ok(self
            .granted(&database)?
            .database()
            .known_types(&types)
            .await?)
    }

    async fn widened(&mut self, database: String, table: String) -> Result<Vec<String>, Refusal> {
        if matches!(self.caller, Caller::Peer(_)) {
            return Err(Error::Denied("a peer needs no types of this database".to_owned()).into());
        }
        self.check(&database, &table)?;
        Ok(self.granted(&database)?.database().widened(&table).await?)
    }

    async fn count(&mut self, database: String, table: String) -> Result<RowCount, Refusal> {
        self.check(&database, &table)?;
        Ok(self.granted(&database)?.database().count(&table).await?)
    }
}

impl Capabilities {
    fn granted(&self, label: &str) -> Result<&GrantedDatabase, Refusal> {
        if matches!(self.caller, Caller::Peer(None)) {
            return Err(Error::Denied("no database without a session".to_owned()).into());
        }
        self.labelled(label)
    }

    fn labelled(&self, label: &str) -> Result<&GrantedDatabase, Refusal> {
        check("a label", label, MAX_LABEL)?;
        self.resources
            .database(label)
            .ok_or_else(|| Error::NotFound(format!("no database is called {label:?}")).into())
    }

    /// The tables that the caller may read.
    fn readable(&mut self, label: &str) -> Result<Arc<ReadableTables>, Refusal> {
        if let Some(known) = self.readable.get(label) {
            return Ok(Arc::clone(known));
        }
        let scope = match &self.caller {
            Caller::Operator => None,
            Caller::Peer(admission) => admission.as_ref().map(|admission| &*admission.scope),
        };
        let readable = Arc::new(self.granted(label)?.readable(scope)?);
        self.readable
            .insert(label.to_owned(), Arc::clone(&readable));
        Ok(readable)
    }

    fn check(&mut self, label: &str, table: &str) -> Result<(), Refusal> {
        check("the name of a table", table, MAX_NAME)?;
        Ok(self.readable(label)?.check(table)?)
    }
}

impl From<DatabaseError> for Refusal {
    fn from(error: DatabaseError) -> Self {
        let message = error.to_string();
        match error {
            DatabaseError::NotFound { .. } => Error::NotFound(message),
            DatabaseError::View { .. } | DatabaseError::Unsuitable { .. } => {
                Error::Invalid(message)
            }
            DatabaseError::Refused(error) | DatabaseError::NoLedger(error) => {
                Error::Database(error)
            }
            DatabaseError::Busy(error) => Error::Conflict(error),
            DatabaseError::Open { .. }
            | DatabaseError::NotADatabase { .. }
            | DatabaseError::Unreachable { .. } => Error::Unavailable(message),
            DatabaseError::TooManyConnections { .. } => Error::Limit(message),
            DatabaseError::Unrepresentable(_)
            | DatabaseError::NotAsMade { .. }
            | DatabaseError::Rewritten { .. }
            | DatabaseError::Unqualified(_)
            | DatabaseError::TooManyRejects { .. }
            | DatabaseError::NotStored { .. }
            | DatabaseError::TypeTaken { .. }
            | DatabaseError::LedgerTaken { .. } => Error::Database(DbError {
                code: None,
                message,
                table: None,
                constraint: None,
                column: None,
            }),
        }
        .into()
    }
}
