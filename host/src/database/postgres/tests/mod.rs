//! Tests against a real PostgreSQL.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod catalog;
mod conflicts;
mod connections;
mod conversions;
mod direct;
mod enums;
mod ledger;
mod operators;
mod own_tables;
mod plans;
mod races;
mod rejects;
mod round_trips;
mod settings;
mod snapshots;
mod verification;

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use tokio::sync::mpsc;
use tombolo_test_postgres::{TestServer, test_server};

use super::PostgresDatabase;
use crate::bindings::types::{
    Cell, Column, ColumnChanges, ColumnRule, Generation, LogicalType, SetPlan, Stored, TableSchema,
    UpdateRule, ValueSource,
};
use crate::database::{
    CheckedPlan, CheckedStatement, ChunkCounts, Database, DatabaseError, Evidence, LoadMode, Read,
    Step, TableWrite, TableWriter, Target, WriteOutcome,
};
use crate::rows::{BlockBuilder, CellRef, RowBlock};

/// A database of its own, and a superuser's connection to it.
struct Site {
    server: &'static TestServer,
    name: String,
    admin: PgConnection,
    database: PostgresDatabase,
}

impl Site {
    /// None where there is no PostgreSQL.
    async fn new(sql: &str) -> Option<Self> {
        let server = test_server()?;
        let name = server.unique_name("db");
        let mut maintenance = PgConnection::connect(&server.url("postgres"))
            .await
            .unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!(
            "CREATE DATABASE {name} TEMPLATE template0"
        )))
        .execute(&mut maintenance)
        .await
        .unwrap();
        let url = server.url(&name);
        let mut site = Self {
            server,
            admin: PgConnection::connect(&url).await.unwrap(),
            database: PostgresDatabase::open(&url).await.unwrap(),
            name,
        };
        site.run(sql).await;
        Some(site)
    }

    async fn run(&mut self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut self.admin)
            .await
            .unwrap();
    }

    /// The first column of the first row, as text.
    async fn value(&mut self, sql: &str) -> String {
        let sql = format!("SELECT coalesce(({sql})::text, 'NULL')");
        let row = sqlx::raw_sql(AssertSqlSafe(sql))
            .fetch_one(&mut self.admin)
            .await
            .unwrap();
        row.get(0)
    }

    /// All rows of a table as PostgreSQL prints them.
    async fn rows(&mut self, table: &str) -> String {
        self.value(&format!(
            "SELECT string_agg(whole::text, E'\\n' ORDER BY whole::text COLLATE \"C\") FROM {table} whole"
        ))
        .await
    }

    async fn target(&self) -> Box<dyn Target> {
        let mut target = self.database.target().await.unwrap();
        target.prepare().await.unwrap();
        target
    }
}

/// Both databases of a transfer.
async fn sites(source: &str, target: &str) -> Option<(Site, Site)> {
    Some((Site::new(source).await?, Site::new(target).await?))
}

async fn read(site: &Site, table: &str) -> (TableSchema, Vec<RowBlock>) {
    let snapshot = site.database.snapshot().await.unwrap();
    let schema = snapshot.describe(table).await.unwrap();
    let (sender, mut receiver) = mpsc::channel(64);
    let collect = async {
        let mut blocks = Vec::new();
        while let Some(block) = receiver.recv().await {
            blocks.push(block);
        }
        blocks
    };
    let (done, blocks) = tokio::join!(snapshot.read(Read::all(&schema), sender), collect);
    done.unwrap();
    (schema, blocks)
}

fn table_write(incoming: &TableSchema, plan: SetPlan) -> TableWrite {
    TableWrite {
        run: "run-1".to_owned(),
        plan: CheckedPlan::of_tests(&plan, incoming),
        incoming: incoming.clone(),
        create: None,
        mode: LoadMode::Direct,
        row_by_row: false,
        reject_limit: 1_000,
        retry_context: String::new(),
        conversions: Vec::new(),
        retry: false,
        rejected_parents: crate::database::RejectedParents::default(),
    }
}

/// Transfers a table in one chunk.
async fn transfer(
    source: &Site,
    target: &Site,
    table: &str,
    plan: impl FnOnce(&TableSchema) -> SetPlan,
) -> Result<ChunkCounts, DatabaseError> {
    let (schema, blocks) = read(source, table).await;
    take(target, &schema, &blocks, plan(&schema)).await
}

async fn take(
    site: &Site,
    schema: &TableSchema,
    blocks: &[RowBlock],
    plan: SetPlan,
) -> Result<ChunkCounts, DatabaseError> {
    let (counts, _) = chunk(site, table_write(schema, plan), blocks).await?;
    Ok(counts)
}

fn skip(schema: &TableSchema) -> SetPlan {
    SetPlan {
        key: schema.primary_key.clone(),
        regenerate_key: false,
        update: None,
    }
}

fn update(schema: &TableSchema, source: ValueSource) -> SetPlan {
    let columns = schema
        .columns
        .iter()
        .filter(|column| !schema.primary_key.contains(&column.name))
        .map(|column| ColumnRule {
            column: column.name.clone(),
            source: source.clone(),
        })
        .collect();
    SetPlan {
        update: Some(UpdateRule {
            columns,
            only_if_newer: None,
        }),
        ..skip(schema)
    }
}

fn overwrite(schema: &TableSchema) -> SetPlan {
    update(schema, ValueSource::TakeIncoming)
}

fn merge(schema: &TableSchema) -> SetPlan {
    update(schema, ValueSource::Coalesce)
}

fn append(schema: &TableSchema) -> SetPlan {
    SetPlan {
        regenerate_key: true,
        ..skip(schema)
    }
}

fn counts(created: u64, updated: u64, same: u64, skipped: u64) -> ChunkCounts {
    ChunkCounts {
        created,
        updated,
        same,
        skipped,
        failed: 0,
    }
}

/// The schema of an incoming table.
fn announced(table: &str, columns: &[(&str, LogicalType)], key: &[&str]) -> TableSchema {
    TableSchema {
        table: table.to_owned(),
        columns: columns
            .iter()
            .map(|(name, logical)| Column {
                name: (*name).to_owned(),
                logical: logical.clone(),
                // The decimals of SQLite have other cells.
                origin: match logical {
                    LogicalType::Decimal => "pg:numeric".to_owned(),
                    _ => "sqlite:ANY".to_owned(),
                },
                nullable: true,
                default: None,
                generation: Generation::None,
            })
            .collect(),
        primary_key: key.iter().map(|&name| name.to_owned()).collect(),
        unique_keys: Vec::new(),
        foreign_keys: Vec::new(),
        enums: Vec::new(),
    }
}

fn block(rows: &[Vec<Cell>]) -> RowBlock {
    let mut builder = BlockBuilder::new(rows[0].len());
    for row in rows {
        for cell in row {
            builder.push(CellRef::from(cell));
        }
        builder.end_row();
    }
    builder.take()
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

/// What is known of a complete table.
#[derive(Debug)]
struct Outcome {
    counts: ChunkCounts,
    stored: Stored,
    /// The digest of the rows that were sent, if reading the table has to tell how they are stored.
    digest: Option<u128>,
    changed: Vec<ColumnChanges>,
}

impl From<WriteOutcome> for Outcome {
    fn from(outcome: WriteOutcome) -> Self {
        let unread = || Stored::Unverified("it has to be read".to_owned());
        let (stored, digest) = match outcome.evidence {
            Evidence::Known(stored) => (stored, None),
            Evidence::Direct { digest, readback } => {
                match readback.is_some_and(|rows| rows.sent == rows.found) {
                    true => (Stored::Verified, None),
                    false => (unread(), digest),
                }
            }
        };
        Self {
            counts: outcome.counts,
            stored,
            digest,
            changed: outcome.changed,
        }
    }
}

/// A step that needs no staging.
trait Done<T> {
    fn done(self) -> T;
}

impl<T> Done<T> for Result<Step<T>, DatabaseError> {
    fn done(self) -> T {
        match self.unwrap() {
            Step::Done(done) => done,
            Step::NeedsStaging => panic!("it needs a staging"),
        }
    }
}

/// Loads blocks in one chunk.
async fn chunk(
    site: &Site,
    write: TableWrite,
    blocks: &[RowBlock],
) -> Result<(ChunkCounts, Outcome), DatabaseError> {
    let mut target = site.target().await;
    let mut writer = target.begin_table(write).await?;
    for block in blocks {
        Ok(writer.stage(block).await?).done();
    }
    let counts = Ok(writer.commit().await?).done();
    Ok((counts, writer.finish(&[]).await?.into()))
}

/// Loads blocks, each as a chunk of its own.
async fn chunks(
    site: &Site,
    write: TableWrite,
    blocks: &[RowBlock],
) -> Result<(ChunkCounts, Outcome), DatabaseError> {
    let mut target = site.target().await;
    let mut writer = target.begin_table(write).await?;
    let mut all = ChunkCounts::default();
    for block in blocks {
        Ok(writer.stage(block).await?).done();
        all += Ok(writer.commit().await?).done();
    }
    Ok((all, writer.finish(&[]).await?.into()))
}

fn failed(counts: ChunkCounts, failed: u64) -> ChunkCounts {
    ChunkCounts { failed, ..counts }
}

/// A table of the run, created by these statements.
fn created(write: TableWrite, statements: &[&str]) -> TableWrite {
    let statements = statements
        .iter()
        .map(|&sql| CheckedStatement::new(sql.to_owned()));
    TableWrite {
        create: Some(statements.collect()),
        ..write
    }
}
