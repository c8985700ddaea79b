//! What becomes of values that do not fit: one policy for all columns, others for single ones.

use crate::bindings::client::PullRequest;
use crate::bindings::types::{Column, Conversion, Dialect, Failure, Generation, TableSchema};
use crate::documents::RunDocument;
use crate::error::{ErrorCode, failure, printable};
use crate::host::Host;

/// The most columns that may be named.
const MAX_NAMED: usize = 10_000;

/// The longest name of a column with its table's, in bytes.
const MAX_NAME: usize = 2_049;

/// Columns with their policies; those that reject a row are left out.
pub type Conversions = Vec<(String, Conversion)>;

/// Checks a request by itself.
pub fn check(request: &PullRequest) -> Result<(), Failure> {
    let named = request.column_conversions.iter();
    let mut policies = named
        .map(|(_, policy)| policy)
        .chain([&request.conversions]);
    if let Some(Conversion::Other(name)) =
        policies.find(|policy| matches!(policy, Conversion::Other(_)))
    {
        return Err(failure(
            ErrorCode::BadRequest,
            format!("there is no way {name:?} to treat values that do not fit"),
            "choose one of: reject, widen, lossy",
        ));
    }
    let mut named = request.column_conversions.iter();
    if request.column_conversions.len() > MAX_NAMED || named.any(|(name, _)| name.len() > MAX_NAME)
    {
        return Err(failure(
            ErrorCode::BadRequest,
            format!(
                "more than {MAX_NAMED} columns are named, or one by more than {MAX_NAME} bytes"
            ),
            "name fewer columns, or one policy for all of them",
        ));
    }
    Ok(())
}

/// Refuses what a target has no need of.
pub fn check_target(document: &RunDocument, dialect: &Dialect) -> Result<(), Failure> {
    let named = document.column_conversions.iter();
    let mut policies = named
        .map(|(_, policy)| policy)
        .chain([&document.conversions]);
    if *dialect != Dialect::Sqlite || policies.all(|policy| *policy == Conversion::Exact) {
        return Ok(());
    }
    Err(failure(
        ErrorCode::BadRequest,
        "a column of SQLite holds values of every kind, so that there is none to widen and no value to change",
        "leave out --conversion; a row that a SQLite table does not take is rejected",
    ))
}

/// The policies for the columns of a table.
pub fn of_table(document: &RunDocument, incoming: &TableSchema) -> Conversions {
    let policy = |column: &Column| {
        let mut named = document.column_conversions.iter();
        let own = named.find(|(name, _)| is_named(name, &incoming.table, &column.name));
        own.map_or(&document.conversions, |(_, policy)| policy)
            .clone()
    };
    written(incoming)
        .map(|column| (column.name.clone(), policy(column)))
        .filter(|(_, policy)| *policy != Conversion::Exact)
        .collect()
}

/// The columns to be made wider.
pub fn widened(conversions: &Conversions) -> Vec<String> {
    let widened = conversions
        .iter()
        .filter(|(_, policy)| *policy == Conversion::Widen);
    widened.map(|(column, _)| column.clone()).collect()
}

/// Refuses to widen columns that exist, unless they are wide enough.
pub fn check_existing(
    host: &dyn Host,
    database: &str,
    conversions: &Conversions,
    incoming: &TableSchema,
    local: &TableSchema,
) -> Result<(), Failure> {
    let widened = widened(conversions);
    if widened.is_empty() {
        return Ok(());
    }
    let wide = host.widened(database, &local.table)?;
    let narrow = written(incoming)
        .filter(|column| widened.contains(&column.name) && !wide.contains(&column.name))
        .find(|column| !holds_all(column, local));
    match narrow {
        None => Ok(()),
        Some(column) => Err(failure(
            ErrorCode::BadRequest,
            format!(
                "column {} of table {} exists here, and a pull changes no table that exists: only tables that it makes get wider columns",
                printable(&column.name),
                printable(&local.table)
            ),
            "change the column with ALTER TABLE, or take --conversion TABLE.COLUMN=exact or =lossy for it",
        )),
    }
}

/// Whether there is no value that the column here would have to be wider for.
fn holds_all(incoming: &Column, local: &TableSchema) -> bool {
    let mut columns = local.columns.iter();
    let Some(own) = columns.find(|own| own.name == incoming.name) else {
        return false;
    };
    let same = own.origin == incoming.origin;
    match incoming.origin.starts_with("sqlite:") {
        // A row's number is an integer of 64 bits, whatever SQLite lets other columns hold.
        true => {
            let row_number = incoming.generation == Generation::IdentityDefault;
            row_number && (same || own.origin == "pg:bigint")
        }
        false => same,
    }
}

/// Counts for each name how many columns of a table have it.
pub fn count_named(document: &RunDocument, table: Option<&TableSchema>, named: &mut [usize]) {
    let Some(table) = table else { return };
    for ((name, _), found) in document.column_conversions.iter().zip(named) {
        *found += written(table)
            .filter(|column| is_named(name, &table.table, &column.name))
            .count();
    }
}

/// Refuses names that are those of no column, or of several.
pub fn check_named(document: &RunDocument, named: &[usize]) -> Result<(), Failure> {
    let mut names = document.column_conversions.iter().zip(named);
    let Some(((name, _), found)) = names.find(|(_, found)| **found != 1) else {
        return Ok(());
    };
    let (what, hint) = match found {
        0 => (
            "no column of this pull is called so",
            "write it as TABLE.COLUMN, with both names exactly as the other site has them",
        ),
        _ => (
            "several columns of this pull are called so",
            "pull these tables one by one",
        ),
    };
    Err(failure(
        ErrorCode::BadRequest,
        format!("--conversion for {}: {what}", printable(name)),
        hint,
    ))
}

/// Names may contain points, so they are put together and not taken apart.
fn is_named(name: &str, table: &str, column: &str) -> bool {
    let rest = name.strip_prefix(table);
    rest.and_then(|rest| rest.strip_prefix('.')) == Some(column)
}

/// The columns that arrive.
fn written(table: &TableSchema) -> impl Iterator<Item = &Column> {
    let columns = table.columns.iter();
    columns.filter(|column| column.generation != Generation::Computed)
}
