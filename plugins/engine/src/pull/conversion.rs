//! The policies for values that a column cannot hold exactly: one for all columns, others for single ones.

use crate::bindings::client::PullRequest;
use crate::bindings::types::{Column, Conversion, Dialect, Failure, Generation, TableSchema};
use crate::error::{ErrorCode, failure, printable};
use crate::host::Host;
use crate::pull::origin::Origin;
use crate::wire::{MAX_NAME, sent_columns};

/// The most columns that a request may name.
const MAX_COLUMNS: usize = 10_000;

/// The longest name of a column with its table's, in bytes: two names and a point.
const MAX_COLUMN_NAME: usize = 2 * MAX_NAME + 1;

/// The columns whose policy is not `exact`, with their policies.
pub type Policies = Vec<(String, Conversion)>;

/// Fails with `bad-request` if a policy is unknown, or if the request names too many columns or too long ones.
pub fn check_request(request: &PullRequest) -> Result<(), Failure> {
    if let Some(Conversion::Other(name)) =
        all_policies(request).find(|policy| matches!(policy, Conversion::Other(_)))
    {
        return Err(failure(
            ErrorCode::BadRequest,
            format!("unknown conversion policy {:?}", printable(name)),
            "choose one of: exact, widen, lossy",
        ));
    }
    let columns = request.column_conversions.len();
    let mut names = request.column_conversions.iter();
    if columns > MAX_COLUMNS || names.any(|(name, _)| name.len() > MAX_COLUMN_NAME) {
        return Err(failure(
            ErrorCode::BadRequest,
            format!(
                "--conversion names {columns} columns; at most {MAX_COLUMNS} are possible, each with at most {MAX_COLUMN_NAME} bytes"
            ),
            "name fewer columns, or use one policy for all of them",
        ));
    }
    Ok(())
}

/// Fails with `bad-request` if the target is SQLite and a policy is not `exact`.
pub fn check_target(request: &PullRequest, dialect: &Dialect) -> Result<(), Failure> {
    let mut policies = all_policies(request);
    if *dialect != Dialect::Sqlite || policies.all(|policy| *policy == Conversion::Exact) {
        return Ok(());
    }
    Err(failure(
        ErrorCode::BadRequest,
        "--conversion has no effect on SQLite, whose columns hold values of every type",
        "leave out --conversion; a row that a SQLite table does not accept is rejected",
    ))
}

/// Fails with `bad-request` if a policy would widen a column of an existing table that does not hold every value of its
/// source.
pub fn check_existing_table(
    host: &dyn Host,
    database: &str,
    policies: &Policies,
    incoming: &TableSchema,
    local: &TableSchema,
) -> Result<(), Failure> {
    let to_widen = columns_to_widen(policies);
    if to_widen.is_empty() {
        return Ok(());
    }
    let wide = host.widened(database, &local.table)?;
    let narrow = sent_columns(incoming)
        .filter(|column| to_widen.contains(&column.name) && !wide.contains(&column.name))
        .find(|column| !holds_every_value(column, local));
    match narrow {
        None => Ok(()),
        Some(column) => Err(failure(
            ErrorCode::BadRequest,
            format!(
                "column {} of table {} exists in the target and cannot be widened: a pull changes no existing table",
                printable(&column.name),
                printable(&local.table)
            ),
            "change the column with ALTER TABLE, or use --conversion TABLE.COLUMN=exact or =lossy for it",
        )),
    }
}

/// Returns the policies for the columns of a table that arrive.
pub fn policies_for(request: &PullRequest, incoming: &TableSchema) -> Policies {
    let policy = |column: &Column| {
        let mut named = request.column_conversions.iter();
        named
            .find(|(name, _)| is_named(name, &incoming.table, &column.name))
            .map_or(&request.conversions, |(_, policy)| policy)
    };
    sent_columns(incoming)
        .map(|column| (column.name.clone(), policy(column).clone()))
        .filter(|(_, policy)| *policy != Conversion::Exact)
        .collect()
}

/// Returns the columns whose policy is `widen`.
pub fn columns_to_widen(policies: &Policies) -> Vec<String> {
    columns_with(policies, &Conversion::Widen)
}

/// Returns the columns with a policy.
pub fn columns_with(policies: &Policies, wanted: &Conversion) -> Vec<String> {
    let columns = policies.iter().filter(|(_, policy)| policy == wanted);
    columns.map(|(column, _)| column.clone()).collect()
}

/// Gives columns the policy `widen`.
pub fn widen(policies: &mut Policies, columns: Vec<String>) {
    policies.retain(|(column, _)| !columns.contains(column));
    let widened = columns
        .into_iter()
        .map(|column| (column, Conversion::Widen));
    policies.extend(widened);
}

/// Adds to `matches` how many columns of a table each name of the request fits.
pub fn count_matches(request: &PullRequest, table: &TableSchema, matches: &mut [usize]) {
    for ((name, _), count) in request.column_conversions.iter().zip(matches) {
        *count += sent_columns(table)
            .filter(|column| is_named(name, &table.table, &column.name))
            .count();
    }
}

/// Fails with `bad-request` if a name of the request fits no column, or several.
pub fn check_matches(request: &PullRequest, matches: &[usize]) -> Result<(), Failure> {
    let mut names = request.column_conversions.iter().zip(matches);
    let Some(((name, _), count)) = names.find(|(_, count)| **count != 1) else {
        return Ok(());
    };
    let (what, hint) = match count {
        0 => (
            "no column of this pull has this name".to_owned(),
            "write TABLE.COLUMN, with both names exactly as the other site has them",
        ),
        _ => (
            format!("several columns of this pull have this name ({count})"),
            "pull these tables one by one",
        ),
    };
    Err(failure(
        ErrorCode::BadRequest,
        format!("--conversion {}: {what}", printable(name)),
        hint,
    ))
}

fn all_policies(request: &PullRequest) -> impl Iterator<Item = &Conversion> {
    let named = request.column_conversions.iter();
    named
        .map(|(_, policy)| policy)
        .chain([&request.conversions])
}

/// Whether a column of the target holds every value of the incoming one as it is.
fn holds_every_value(incoming: &Column, local: &TableSchema) -> bool {
    let mut columns = local.columns.iter();
    let Some(own) = columns.find(|own| own.name == incoming.name) else {
        return false;
    };
    let same_type = own.origin == incoming.origin;
    match Origin::from(incoming) {
        // A row number is a 64-bit integer; every other column of SQLite holds values of every type.
        Origin::Sqlite(_) => {
            let row_number = incoming.generation == Generation::IdentityDefault;
            row_number && (same_type || Origin::from(own) == Origin::Postgres("bigint"))
        }
        Origin::Postgres(_) | Origin::Other(_) => same_type,
    }
}

/// Whether a name is that of this column. Names may contain points, so the name is compared and not split.
fn is_named(name: &str, table: &str, column: &str) -> bool {
    let rest = name.strip_prefix(table);
    rest.and_then(|rest| rest.strip_prefix('.')) == Some(column)
}
