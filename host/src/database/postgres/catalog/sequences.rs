//! Advances the sequences of identity and serial columns.

use super::Description;
use crate::bindings::types::{Generation, LogicalType};
use crate::database::postgres::connection::{Session, column, query};
use crate::database::{DatabaseError, quote};

/// The sequence that an identity or serial column owns, or that its default draws from.
const SEQUENCE: &str = "\
    SELECT n.nspname::text AS schema, c.relname::text AS name, s.seqincrement > 0 AND NOT s.seqcycle AS counts_up, s.seqmax AS maximum \
    FROM pg_catalog.pg_attribute a \
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
    JOIN pg_catalog.pg_depend p ON p.classid = 'pg_catalog.pg_class'::regclass AND p.refobjid = a.attrelid \
        AND p.refobjsubid = a.attnum AND p.deptype IN ('a', 'i') \
      OR p.classid = 'pg_catalog.pg_attrdef'::regclass AND p.objid = d.oid \
        AND p.refclassid = 'pg_catalog.pg_class'::regclass \
    JOIN pg_catalog.pg_class c ON c.relkind = 'S' \
      AND c.oid = CASE WHEN p.classid = 'pg_catalog.pg_class'::regclass THEN p.objid ELSE p.refobjid END \
    JOIN pg_catalog.pg_sequence s ON s.seqrelid = c.oid \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE a.attrelid = $1::int8::oid AND a.attname = $2 LIMIT 1";

/// Moves the sequences of all numbered columns past their greatest value.
pub(in crate::database::postgres) async fn advance(
    session: &mut Session,
    table: &Description,
) -> Result<(), DatabaseError> {
    for numbered in &table.schema.columns {
        if numbered.logical != LogicalType::Integer
            || !matches!(
                numbered.generation,
                Generation::IdentityAlways | Generation::IdentityDefault
            )
        {
            continue;
        }
        let row = session
            .row(
                query(SEQUENCE)
                    .bind(table.relation.oid)
                    .bind(numbered.name.clone()),
            )
            .await?;
        let Some(row) = row else { continue };
        let counts_up: bool = column(&row, "counts_up")?;
        if !counts_up {
            continue;
        }
        let (schema, name): (String, String) = (column(&row, "schema")?, column(&row, "name")?);
        let maximum: i64 = column(&row, "maximum")?;
        let sequence = format!("{}.{}", quote(&schema), quote(&name));
        let literal = format!("'{}'", sequence.replace('\'', "''"));
        // Only forwards: a session that draws numbers meanwhile must not get one twice.
        session
            .run(format!(
                "SELECT pg_catalog.setval({literal}, top) \
                 FROM (SELECT max({})::bigint AS top FROM {}) AS k, {sequence} AS s \
                 WHERE top <= {maximum} \
                 AND (top > s.last_value OR top = s.last_value AND NOT s.is_called)",
                quote(&numbered.name),
                table.relation.name(),
            ))
            .await?;
    }
    Ok(())
}
