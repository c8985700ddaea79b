//! The tables of other schemas than the login's own: they are counted, and not listed.

use crate::database::DatabaseError;
use crate::database::postgres::connection::{Session, column};

/// Returns the other schemas that have tables, with their numbers, sorted by name. Those of PostgreSQL and Tombolo are left
/// out, and so are partitions.
pub async fn count(session: &mut Session) -> Result<Vec<(String, u64)>, DatabaseError> {
    let own = session.home().unwrap_or_default().to_owned();
    let rows = session
        .rows_as_login(
            "SELECT n.nspname::pg_catalog.text AS shown, pg_catalog.count(*) AS number \
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
             WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog.\"char\"[]) AND NOT c.relispartition \
               AND n.nspname::pg_catalog.text OPERATOR(pg_catalog.!~) '^pg_' \
               AND n.nspname::pg_catalog.text OPERATOR(pg_catalog.<>) ALL ('{information_schema,tombolo}'::pg_catalog.text[]) \
             GROUP BY n.nspname ORDER BY n.nspname"
                .to_owned(),
        )
        .await?;
    let counted = rows.iter().map(|row| {
        let number: i64 = column(row, "number")?;
        Ok((
            column(row, "shown")?,
            u64::try_from(number).unwrap_or_default(),
        ))
    });
    let counted: Vec<(String, u64)> = counted.collect::<Result<_, DatabaseError>>()?;
    Ok(counted
        .into_iter()
        .filter(|(name, _)| *name != own)
        .collect())
}
