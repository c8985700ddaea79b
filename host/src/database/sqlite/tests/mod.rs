//! Tests with real files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod application;
mod cancelled;
mod deferred;
mod direct;
mod hostile;
mod merge;
mod moves;
mod raw;
mod reading;
mod rejects;
mod source;
mod storage;
mod stored;
mod strategies;
mod target;
mod transfer;
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row as _, SqliteConnection,
};
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::SqliteDatabase;
use crate::bindings::types::{
    Cell, ColumnRule, SetPlan, Stored, TableSchema, UpdateRule, ValueSource,
};
use crate::database::{
    CheckedPlan, CheckedStatement, ChunkCounts, Database, DatabaseError, Evidence, LoadMode, Read,
    Reject, Snapshot, Step, TableWrite, TableWriter, Target, WriteOutcome, quote,
};
use crate::rows::{BlockBuilder, CellRef, RowBlock};

/// A folder of databases.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A database with the result of these statements.
    async fn database(&self, name: &str, sql: &str) -> SqliteDatabase {
        write(&self.file(name), sql).await;
        self.open(name).await
    }

    async fn open(&self, name: &str) -> SqliteDatabase {
        SqliteDatabase::open(&self.file(name), false).await.unwrap()
    }

    /// All files with their bytes.
    fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        std::fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                (name, std::fs::read(path).unwrap())
            })
            .collect()
    }
}

/// A connection as another program has it.
async fn connect(file: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .disable_statement_logging()
        .connect()
        .await
        .unwrap()
}

async fn write(file: &Path, sql: &str) {
    let mut connection = connect(file).await;
    connection
        .execute(AssertSqlSafe(sql.to_owned()))
        .await
        .unwrap();
    connection.close().await.unwrap();
}

/// Rows as SQL literals, which show the storage classes.
async fn literals(file: &Path, table: &str) -> Vec<Vec<String>> {
    let mut connection = connect(file).await;
    let columns: Vec<String> =
        sqlx::query_scalar("SELECT name FROM pragma_table_xinfo(?) ORDER BY cid")
            .bind(table.to_owned())
            .fetch_all(&mut connection)
            .await
            .unwrap();
    let columns: Vec<_> = columns.iter().map(|name| quote(name)).collect();
    let quoted: Vec<_> = columns
        .iter()
        .map(|name| format!("quote({name})"))
        .collect();
    let sql = format!(
        "SELECT {} FROM {} ORDER BY {}",
        quoted.join(", "),
        quote(table),
        columns.join(", ")
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .fetch_all(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    rows.iter()
        .map(|row| (0..columns.len()).map(|index| row.get(index)).collect())
        .collect()
}

async fn read(
    snapshot: &dyn Snapshot,
    table: &TableSchema,
) -> Result<Vec<Vec<Cell>>, DatabaseError> {
    let (sender, mut receiver) = mpsc::channel::<RowBlock>(2);
    let collect = async {
        let mut rows = Vec::new();
        while let Some(block) = receiver.recv().await {
            rows.extend(
                block
                    .rows()
                    .map(|row| row.map(CellRef::to_cell).collect::<Vec<_>>()),
            );
        }
        rows
    };
    let (done, rows) = tokio::join!(snapshot.read(Read::all(table), sender), collect);
    done.map(|()| rows)
}

fn block(rows: &[Vec<Cell>]) -> RowBlock {
    let mut builder = BlockBuilder::new(rows[0].len());
    for row in rows {
        row.iter().for_each(|cell| builder.push(cell.into()));
        builder.end_row();
    }
    builder.take()
}

fn statement(sql: &str) -> CheckedStatement {
    CheckedStatement::new(sql.to_owned())
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

fn skip(key: &[&str]) -> SetPlan {
    SetPlan {
        key: key.iter().map(|name| (*name).to_owned()).collect(),
        regenerate_key: false,
        update: None,
    }
}

fn append(key: &[&str]) -> SetPlan {
    SetPlan {
        regenerate_key: !key.is_empty(),
        ..skip(key)
    }
}

fn update(key: &[&str], columns: &[(&str, ValueSource)]) -> SetPlan {
    let columns = columns.iter().map(|(column, source)| ColumnRule {
        column: (*column).to_owned(),
        source: source.clone(),
    });
    SetPlan {
        update: Some(UpdateRule {
            columns: columns.collect(),
            only_if_newer: None,
        }),
        ..skip(key)
    }
}

/// Takes all columns from the incoming rows.
fn overwrite(table: &TableSchema) -> SetPlan {
    let key: Vec<_> = table.primary_key.iter().map(String::as_str).collect();
    let columns: Vec<_> = table
        .columns
        .iter()
        .filter(|column| !table.primary_key.contains(&column.name))
        .map(|column| (column.name.as_str(), ValueSource::TakeIncoming))
        .collect();
    update(&key, &columns)
}

/// As [`overwrite`], but only where the version is greater.
fn newer(table: &TableSchema) -> SetPlan {
    let mut plan = overwrite(table);
    if let Some(update) = &mut plan.update {
        update.only_if_newer = table.columns.last().map(|column| column.name.clone());
    }
    plan
}

async fn target(database: &SqliteDatabase) -> Box<dyn Target> {
    let mut target = database.target().await.unwrap();
    target.prepare().await.unwrap();
    target
}

/// A run's load of a table that exists, in which no row may be rejected.
fn load(run: &str, incoming: &TableSchema, plan: SetPlan) -> TableWrite {
    TableWrite {
        run: run.to_owned(),
        plan: CheckedPlan::of_tests(&plan, incoming),
        incoming: incoming.clone(),
        create: None,
        mode: LoadMode::Direct,
        row_by_row: false,
        reject_limit: 0,
        retry_context: "description".to_owned(),
        conversions: Vec::new(),
        retry: false,
        rejected_parents: crate::database::RejectedParents::default(),
    }
}

async fn begin<'t>(
    target: &'t mut dyn Target,
    run: &str,
    incoming: &TableSchema,
    plan: SetPlan,
) -> Result<Box<dyn TableWriter + 't>, DatabaseError> {
    let mut writer = target.begin_table(load(run, incoming, plan)).await?;
    writer.read_from("snapshot");
    Ok(writer)
}

/// Stages a block that the table takes.
async fn stage(writer: &mut dyn TableWriter, block: &RowBlock) {
    assert_eq!(writer.stage(block).await.unwrap(), Step::Done(()));
}

/// Commits a chunk that the table takes.
async fn committed(writer: &mut dyn TableWriter) -> ChunkCounts {
    match writer.commit().await.unwrap() {
        Step::Done(counts) => counts,
        Step::NeedsStaging => panic!("the chunk needs a staging"),
    }
}

/// The sum of the digests of the rows that went directly into the table.
fn digest(outcome: &WriteOutcome) -> Option<u128> {
    match outcome.evidence {
        Evidence::Direct { digest, .. } => digest,
        Evidence::Known(_) => None,
    }
}

/// What is known without reading the table.
fn known(outcome: &WriteOutcome) -> Stored {
    match &outcome.evidence {
        Evidence::Known(stored) => stored.clone(),
        Evidence::Direct { .. } => panic!("{outcome:?}"),
    }
}

/// One chunk of rows into a table that exists.
async fn apply(
    database: &SqliteDatabase,
    incoming: &TableSchema,
    plan: SetPlan,
    rows: &[Vec<Cell>],
) -> Result<ChunkCounts, DatabaseError> {
    let (counts, _) = load_rows(database, load("run", incoming, plan), rows).await?;
    Ok(counts)
}

/// One chunk of rows that the table takes.
async fn load_rows(
    database: &SqliteDatabase,
    load: TableWrite,
    rows: &[Vec<Cell>],
) -> Result<(ChunkCounts, WriteOutcome), DatabaseError> {
    match try_rows(database, load, rows).await? {
        Step::Done(done) => Ok(done),
        Step::NeedsStaging => panic!("the rows need a staging"),
    }
}

/// One chunk of rows.
async fn try_rows(
    database: &SqliteDatabase,
    load: TableWrite,
    rows: &[Vec<Cell>],
) -> Result<Step<(ChunkCounts, WriteOutcome)>, DatabaseError> {
    let mut target = target(database).await;
    let mut writer = target.begin_table(load).await?;
    let applied = match writer.stage(&block(rows)).await {
        Ok(Step::Done(())) => writer.commit().await,
        Ok(Step::NeedsStaging) => Ok(Step::NeedsStaging),
        Err(error) => Err(error),
    };
    match applied {
        Ok(Step::Done(counts)) => Ok(Step::Done((counts, writer.finish(&[]).await?))),
        other => {
            writer.rollback().await?;
            other.map(|_| Step::NeedsStaging)
        }
    }
}

/// One table from a snapshot of one file into another.
async fn copy(
    from: &SqliteDatabase,
    to: &SqliteDatabase,
    table: &str,
    plan: SetPlan,
) -> ChunkCounts {
    let snapshot = from.snapshot().await.unwrap();
    let incoming = snapshot.describe(table).await.unwrap();
    let rows = read(&*snapshot, &incoming).await.unwrap();
    apply(to, &incoming, plan, &rows).await.unwrap()
}

fn integer(value: i64) -> Cell {
    Cell::Integer(value)
}

fn text(value: &str) -> Cell {
    Cell::Text(value.to_owned())
}

/// Keys 1 to 3 exist; 2 has a newer version and no note.
const GOODS: &str = "
    CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price DECIMAL(8,2), note TEXT, version INTEGER);
    INSERT INTO goods VALUES (1, 'tea', 5, 'kept', 1), (2, 'Milk', 1.5, NULL, 9), (3, 'salt', 2, 'x', NULL);";

async fn goods(folder: &Folder) -> (SqliteDatabase, TableSchema) {
    let database = folder.database("goods.db", GOODS).await;
    let table = database.describe("goods").await.unwrap();
    (database, table)
}

fn good(id: i64, name: &str, price: f64, note: Option<&str>, version: i64) -> Vec<Cell> {
    let note = note.map_or(Cell::Null, text);
    vec![
        integer(id),
        text(name),
        Cell::Real(price),
        note,
        integer(version),
    ]
}

/// One that is the same, one that differs, one that is new.
fn delivery() -> Vec<Vec<Cell>> {
    let same = vec![
        integer(1),
        text("tea"),
        integer(5),
        text("kept"),
        integer(1),
    ];
    vec![
        same,
        good(2, "milk", 1.75, Some("y"), 5),
        good(3, "SALT", 2.5, None, 2),
        good(4, "oil", 7.25, None, 1),
    ]
}

async fn names(folder: &Folder) -> Vec<String> {
    literals(&folder.file("goods.db"), "goods")
        .await
        .iter()
        .map(|row| row[1].clone())
        .collect()
}
