//! Interface `database`: what is in the granted databases, within grants and scope.

use std::collections::HashSet;
use std::sync::Arc;

use super::limits::{MAX_LABEL, MAX_NAME, check, check_length};
use super::{Caller, Capabilities};
use crate::bindings::Refusal;
use crate::bindings::database::{DatabaseInfo, DescribedTable, Host, RowCount, TableSummary};
use crate::bindings::types::{DbError, Error, TableFacts, TableSchema};
use crate::database::DatabaseError;
use crate::resources::{GrantedDatabase, ReadableTables};
use crate::weight::weigh;

/// The most tables that are described at once.
const MAX_DESCRIBED: usize = 200;

/// Descriptions end after so many bytes.
const DESCRIBED_BYTES: u64 = 4 << 20;

/// The tables that are described before the bytes are counted again.
const DESCRIBED_TOGETHER: usize = 50;

/// What the description of one of several tables costs, in units of fuel.
const DESCRIPTION: u64 = 20_000;

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

    async fn fingerprint(&mut self, database: String) -> Result<String, Refusal> {
        // Asked for the one who claims a code, as the identity is.
        let granted = self.labelled(&database)?;
        Ok(granted.database().fingerprint().await?)
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

    async fn describe_all(
        &mut self,
        database: String,
        tables: Vec<String>,
        counts: bool,
        facts: bool,
    ) -> Result<Vec<DescribedTable>, Refusal> {
        check_length("a list of tables", tables.len(), MAX_DESCRIBED, "elements")?;
        let mut names = HashSet::with_capacity(tables.len());
        for table in &tables {
            self.check(&database, table)?;
            if !names.insert(table.as_str()) {
                return Err(Error::Invalid("a table is named twice".to_owned()).into());
            }
        }
        self.owe(DESCRIPTION.saturating_mul(tables.len() as u64));
        let granted = self.granted(&database)?.database();
        let mut described = Vec::with_capacity(tables.len());
        let mut bytes = 0;
        for together in tables.chunks(DESCRIBED_TOGETHER) {
            if bytes >= DESCRIBED_BYTES {
                break;
            }
            for (table, schema) in together.iter().zip(granted.describe_all(together).await?) {
                bytes += schema.as_ref().map_or(0, |schema| weigh(schema).units);
                described.push(DescribedTable {
                    table: table.clone(),
                    schema: guests(schema)?,
                    count: None,
                    facts: None,
                });
            }
        }
        if facts {
            let with_schema = described.iter_mut().enumerate();
            let with_schema = with_schema.filter(|(_, table)| table.schema.is_ok());
            let mut to_look: Vec<_> = with_schema.collect();
            let names: Vec<String> = to_look.iter().map(|(_, one)| one.table.clone()).collect();
            let found = match names.as_slice() {
                [] => Vec::new(),
                names => granted.facts_all(names).await?,
            };
            let end = to_look.get(found.len()).map(|(place, _)| *place);
            for ((_, table), facts) in to_look.iter_mut().zip(found) {
                table.facts = Some(guests(facts)?);
            }
            described.truncate(end.unwrap_or(usize::MAX));
        }
        if counts {
            let with_schema = described.iter_mut().filter(|table| table.schema.is_ok());
            let mut to_count: Vec<&mut DescribedTable> = with_schema.collect();
            let names: Vec<String> = to_count.iter().map(|table| table.table.clone()).collect();
            let counted = granted.count_all(&names).await?;
            for (table, count) in to_count.iter_mut().zip(counted) {
                table.count = Some(guests(count)?);
            }
        }
        Ok(described)
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

/// An answer about one of several tables.
fn guests<T>(answer: Result<T, DatabaseError>) -> Result<Result<T, Error>, Refusal> {
    match answer.map_err(Refusal::from) {
        Ok(answer) => Ok(Ok(answer)),
        Err(Refusal::Guest(error)) => Ok(Err(*error)),
        Err(trap) => Err(trap),
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
            | DatabaseError::NoSchema { .. }
            | DatabaseError::Unreachable { .. } => Error::Unavailable(message),
            DatabaseError::TooManyConnections { .. } | DatabaseError::ServerFull { .. } => {
                Error::Limit(message)
            }
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
