//! Creates and fills several small tables in one transaction: what a table costs beside its rows is paid once for all of
//! them.
//!
//! Rows go in by INSERT with the values of a COPY stream as parameters: a COPY takes two more exchanges with the server, and
//! the second one waits for a delayed acknowledgement of the first.

use bytes::{Buf, Bytes};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgTypeInfo};
use sqlx::{Arguments as _, AssertSqlSafe, Encode, Postgres, Type};

use super::create;
use super::plan::TablePlan;
use super::readback;
use crate::bindings::types::Stored;
use crate::database::postgres::catalog::constraints::Constraints;
use crate::database::postgres::catalog::sequences;
use crate::database::postgres::catalog::zones::Zones;
use crate::database::postgres::catalog::{self, Description, origins};
use crate::database::postgres::connection::{Session, column, query};
use crate::database::postgres::error;
use crate::database::postgres::meta::{ledger, trust};
use crate::database::{
    Bookkeeping, CheckedStatement, ChunkCounts, DatabaseError, DirectFacts, Evidence, LedgerRow,
    Step, WholeTable, WholeTables, WriteOutcome, is_direct, quote,
};
use crate::rows::BucketDigest;

/// The most parameters of one statement.
const MAX_PARAMETERS: usize = 30_000;

/// Types from this object identifier on were created after the database.
const FIRST_OWN_TYPE: i64 = 16_384;

/// Writes tables in one transaction, as [`crate::database::Target::write_whole`] says.
pub(in crate::database::postgres) async fn write(
    session: &mut Session,
    place: &str,
    tables: &[WholeTable],
) -> Result<WholeTables, DatabaseError> {
    session.run("BEGIN").await?;
    let written = write_in_transaction(session, place, tables).await;
    if let Ok(WholeTables::OneByOne(_)) = &written {
        session.run("ROLLBACK").await?;
        return written;
    }
    session.end_transaction(written).await
}

async fn write_in_transaction(
    session: &mut Session,
    place: &str,
    tables: &[WholeTable],
) -> Result<WholeTables, DatabaseError> {
    trust::lock_to_write(session).await?;
    create_all(session, tables).await?;
    let names: Vec<String> = tables
        .iter()
        .map(|table| table.write.incoming.table.clone())
        .collect();
    let described = catalog::describe_all(session, place, &names, true).await?;
    let mut created = described.into_iter().collect::<Result<Vec<_>, _>>()?;
    for local in &created {
        if local
            .types
            .iter()
            .any(|kind| kind.oid >= FIRST_OWN_TYPE || kind.domain)
        {
            create::refuse_foreign_types(session, local).await?;
        }
    }
    let writes = tables.iter().map(|table| &table.write);
    let with_writes: Vec<_> = created.iter().zip(writes).collect();
    if origins::store(session, &with_writes).await? {
        // The origins may widen columns.
        let described = catalog::describe_all(session, place, &names, true).await?;
        created = described.into_iter().collect::<Result<Vec<_>, _>>()?;
    }
    let changed = with_triggers_or_rules(session, &created).await?;
    let mut loads = Vec::with_capacity(tables.len());
    let mut one_by_one = Vec::new();
    for (place, (local, table)) in created.into_iter().zip(tables).enumerate() {
        let has_triggers = changed.contains(&local.relation.oid);
        match Load::new(local, table, has_triggers)? {
            Some(load) => loads.push(load),
            None => one_by_one.push(place),
        }
    }
    if !one_by_one.is_empty() {
        return Ok(WholeTables::OneByOne(one_by_one));
    }
    for load in &loads {
        load.insert(session).await?;
    }
    for (place, load) in loads.iter().enumerate() {
        if !load.is_stored(session).await? {
            one_by_one.push(place);
        }
    }
    if !one_by_one.is_empty() {
        return Ok(WholeTables::OneByOne(one_by_one));
    }
    let after: Vec<&CheckedStatement> = tables.iter().flat_map(|table| &table.after).collect();
    create::run_all(session, first_name(tables), &after).await?;
    for load in &loads {
        sequences::advance(session, &load.plan.local).await?;
    }
    let outcomes = loads.iter_mut().map(Load::complete).collect();
    if let Some(first) = tables.first() {
        let rows: Vec<(&str, LedgerRow)> = loads
            .iter()
            .map(|load| (load.plan.table(), load.books.row().clone()))
            .collect();
        ledger::enter_complete(session, &first.write.run, &rows).await?;
    }
    Ok(WholeTables::Written(outcomes))
}

async fn create_all(session: &mut Session, tables: &[WholeTable]) -> Result<(), DatabaseError> {
    let before: Vec<&CheckedStatement> = tables
        .iter()
        .flat_map(|table| table.write.create.iter().flatten())
        .collect();
    create::run_all(session, first_name(tables), &before).await
}

fn first_name(tables: &[WholeTable]) -> &str {
    let first = tables.first();
    first.map_or("", |table| &table.write.incoming.table)
}

/// Returns which tables something other than the run may change: what runs when tables are created can add it.
async fn with_triggers_or_rules(
    session: &mut Session,
    created: &[Description],
) -> Result<Vec<i64>, DatabaseError> {
    let oids: Vec<i64> = created.iter().map(|local| local.relation.oid).collect();
    let sql = "SELECT tgrelid::int8 AS oid FROM pg_catalog.pg_trigger WHERE NOT tgisinternal AND tgrelid = ANY ($1::int8[]::oid[]) \
               UNION SELECT ev_class::int8 FROM pg_catalog.pg_rewrite WHERE ev_class = ANY ($1::int8[]::oid[]) \
               UNION SELECT oid::int8 FROM pg_catalog.pg_class WHERE relrowsecurity AND oid = ANY ($1::int8[]::oid[])";
    let rows = session.rows(query(sql).bind(oids)).await?;
    rows.iter().map(|row| column(row, "oid")).collect()
}

/// One table with its encoded rows.
struct Load {
    plan: TablePlan,
    books: Bookkeeping,
    /// Rows of a COPY stream.
    rows: Vec<Bytes>,
    sent: BucketDigest,
    last_key: Option<Vec<u8>>,
}

impl Load {
    /// Encodes the rows; none if the table does not take all of them directly.
    fn new(
        local: Description,
        table: &WholeTable,
        has_triggers: bool,
    ) -> Result<Option<Self>, DatabaseError> {
        let write = &table.write;
        let plan = TablePlan::new(write, local, Constraints::default(), &Zones::default())?;
        let mut books = Bookkeeping::open(write, plan.table(), LedgerRow::first(write));
        let facts = DirectFacts {
            mode: write.mode,
            retry: write.retry,
            is_only_writer: write.create.is_some(),
            has_triggers,
            regenerates_key: write.plan.regenerates_key(),
            takes_cells: plan.encoder.takes_cells(),
        };
        if !is_direct(&facts) {
            return Ok(None);
        }
        if !table.blocks.is_empty() {
            books.read_from(&table.snapshot);
        }
        let mut rows = Vec::with_capacity(table.blocks.len());
        let mut sent = BucketDigest::default();
        for block in &table.blocks {
            let Step::Done(encoded) = plan.encoder.encode_direct(block)? else {
                return Ok(None);
            };
            sent.add(encoded.digest);
            rows.push(encoded.rows.freeze());
            books.arrived(block);
        }
        let last_key = table.blocks.last();
        let last_key = last_key.and_then(|block| plan.last_key(block));
        Ok(Some(Self {
            plan,
            books,
            rows,
            sent,
            last_key,
        }))
    }

    /// Inserts the rows.
    async fn insert(&self, session: &mut Session) -> Result<(), DatabaseError> {
        let columns = self.plan.encoder.columns();
        let most = (MAX_PARAMETERS / columns.len().max(1)).max(1);
        let mut insert = Insert::new(&self.plan);
        for rows in &self.rows {
            let mut rest = rows.clone();
            while rest.has_remaining() {
                insert.add_row(&mut rest)?;
                if insert.rows >= most {
                    std::mem::replace(&mut insert, Insert::new(&self.plan))
                        .run(session)
                        .await?;
                }
            }
        }
        insert.run(session).await
    }

    /// Reads the rows again. Returns whether the table holds what was sent.
    async fn is_stored(&self, session: &mut Session) -> Result<bool, DatabaseError> {
        if self.sent.rows == 0 {
            return Ok(true);
        }
        Ok(readback::of_table(session, &self.plan).await? == self.sent)
    }

    /// Closes the books.
    fn complete(&mut self) -> WriteOutcome {
        if self.sent.rows > 0 {
            let counts = ChunkCounts {
                created: self.sent.rows,
                ..ChunkCounts::default()
            };
            let row = self.books.advance(counts, self.last_key.take());
            self.books.committed(row);
        }
        self.books.outcome(Evidence::Known(Stored::Verified))
    }
}

/// A statement that inserts rows.
struct Insert<'a> {
    plan: &'a TablePlan,
    arguments: PgArguments,
    rows: usize,
}

impl<'a> Insert<'a> {
    fn new(plan: &'a TablePlan) -> Self {
        Self {
            plan,
            arguments: PgArguments::default(),
            rows: 0,
        }
    }

    /// Adds the next row of a COPY stream.
    fn add_row(&mut self, rows: &mut Bytes) -> Result<(), DatabaseError> {
        let broken = || self.plan.unsuitable("its rows were not encoded as a whole");
        rows.try_get_i16().map_err(|_| broken())?;
        for column in self.plan.encoder.columns() {
            let length = rows.try_get_i32().map_err(|_| broken())?;
            let bytes = match usize::try_from(length) {
                Err(_) => None,
                Ok(length) if length <= rows.remaining() => Some(rows.split_to(length)),
                Ok(_) => return Err(broken()),
            };
            let kind = u32::try_from(column.kind.oid).unwrap_or_default();
            let added = self.arguments.add(Value { kind, bytes });
            added.map_err(|error| error::at_work(&sqlx::Error::Encode(error)))?;
        }
        self.rows += 1;
        Ok(())
    }

    async fn run(self, session: &mut Session) -> Result<(), DatabaseError> {
        if self.rows == 0 {
            return Ok(());
        }
        let columns = self.plan.encoder.columns();
        let names: Vec<String> = columns.iter().map(|column| quote(&column.name)).collect();
        let mut number = 0;
        let mut values = Vec::with_capacity(self.rows);
        for _ in 0..self.rows {
            let row = columns.iter().map(|_| {
                number += 1;
                format!("${number}")
            });
            values.push(format!("({})", row.collect::<Vec<_>>().join(", ")));
        }
        // A row of the run's own has its own numbers, as in a COPY.
        let sql = format!(
            "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES {}",
            self.plan.local.relation.name(),
            names.join(", "),
            values.join(", ")
        );
        let insert = sqlx::query_with(AssertSqlSafe(sql), self.arguments).persistent(false);
        session.execute(insert).await.map(|_| ())
    }
}

/// A value as it is in a COPY stream, which is the binary form of its type.
struct Value {
    /// The type's object identifier.
    kind: u32,
    bytes: Option<Bytes>,
}

impl Type<Postgres> for Value {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(0))
    }
}

impl Encode<'_, Postgres> for Value {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        match &self.bytes {
            Some(bytes) => {
                buffer.extend_from_slice(bytes);
                Ok(IsNull::No)
            }
            None => Ok(IsNull::Yes),
        }
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(Oid(self.kind)))
    }
}
