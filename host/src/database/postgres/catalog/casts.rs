//! Finds casts from text that run a function of a login that may not be trusted.

use std::collections::HashMap;

use crate::database::DatabaseError;
use crate::database::postgres::connection::{Session, column, query};
use crate::database::postgres::meta::trust::is_trusted;

/// Returns the functions of such casts to the types of the columns of some tables, by the types' object identifiers.
pub(super) async fn foreign(
    session: &mut Session,
    relations: &[i64],
) -> Result<HashMap<i64, String>, DatabaseError> {
    let trusted = is_trusted("p.proowner");
    let rows = session
        .rows(
            query(format!(
                "WITH RECURSIVE base AS ( \
                   SELECT a.atttypid AS oid FROM pg_catalog.pg_attribute a \
                   WHERE a.attrelid = ANY ($1::int8[]::oid[]) AND a.attnum > 0 AND NOT a.attisdropped \
                   UNION SELECT t.typbasetype FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.oid AND t.typtype = 'd') \
                 SELECT c.casttarget::int8 AS target, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(p.proname) AS name \
                 FROM base JOIN pg_catalog.pg_cast c ON c.casttarget = base.oid AND c.castsource = 'pg_catalog.text'::regtype \
                 JOIN pg_catalog.pg_proc p ON p.oid = c.castfunc JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
                 WHERE NOT {trusted}"
            ))
            .bind(relations.to_vec()),
        )
        .await?;
    let casts = rows
        .iter()
        .map(|row| Ok((column(row, "target")?, column(row, "name")?)));
    casts.collect()
}
