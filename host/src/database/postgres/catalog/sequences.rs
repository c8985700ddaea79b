//! Advances the sequences of identity and serial columns.

use super::Description;
use crate::bindings::types::{Generation, LogicalType};
use crate::database::postgres::connection::{Session, column, query};
use crate::database::{DatabaseError, quote};

/// The sequence that an identity or serial column owns, or that its default draws from.
const SEQUENCE: &str = "\
    SELECT n.nspname::text AS schema, c.relname::text AS name, s.seqincrement AS step, s.seqcycle AS cycles, \
        s.seqmin AS minimum, s.seqmax AS maximum \
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

/// A sequence that numbers a column.
struct Sequence {
    /// Quoted, with its schema.
    name: String,
    step: i64,
    cycles: bool,
    minimum: i64,
    maximum: i64,
}

impl Sequence {
    /// Returns the statement that moves it past the last of a column's values that it could draw, in its own direction
    /// and in steps from where it is: sites may share numbers by the remainder. Only forwards: a session that draws
    /// numbers meanwhile must not get one twice. One that cycles and is in use stays where it is as long as its next
    /// number is free.
    ///
    /// `column` and `table` are quoted.
    fn advance(&self, column: &str, table: &str) -> String {
        let Self {
            name,
            step,
            minimum,
            maximum,
            ..
        } = self;
        let literal = format!("'{}'", name.replace('\'', "''"));
        let last = match *step > 0 {
            true => format!("ceil(max({column})::numeric)"),
            false => format!("floor(min({column})::numeric)"),
        };
        let taken = match self.cycles {
            true => format!("(is_new OR EXISTS (SELECT 1 FROM {table} WHERE {column} = next))"),
            false => "true".to_owned(),
        };
        // Without room for another step, the last number that it could draw is drawn.
        format!(
            "SELECT pg_catalog.setval({literal}, \
               (CASE WHEN jump BETWEEN {minimum} AND {maximum} THEN jump ELSE jump - {step} END)::int8, \
               jump NOT BETWEEN {minimum} AND {maximum}) \
             FROM (SELECT next, is_new, next + (div(top - next, {step}) + 1) * {step} AS jump, (top - next) * sign({step}::numeric) >= 0 AS is_behind \
               FROM (SELECT {last} AS top FROM {table} WHERE {column} BETWEEN {minimum} AND {maximum}) AS k, \
                 (SELECT last_value::numeric + CASE WHEN is_called THEN {step} ELSE 0 END AS next, NOT is_called AS is_new FROM {name}) AS s) AS found \
             WHERE is_behind AND {taken}"
        )
    }
}

/// Moves the sequences of all numbered columns past the last of their values.
pub(in crate::database::postgres) async fn advance(
    session: &mut Session,
    table: &Description,
) -> Result<(), DatabaseError> {
    for numbered in &table.schema.columns {
        let is_number = matches!(
            numbered.logical,
            LogicalType::Integer | LogicalType::Decimal
        );
        if !is_number
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
        let (schema, name): (String, String) = (column(&row, "schema")?, column(&row, "name")?);
        let sequence = Sequence {
            name: format!("{}.{}", quote(&schema), quote(&name)),
            step: column(&row, "step")?,
            cycles: column(&row, "cycles")?,
            minimum: column(&row, "minimum")?,
            maximum: column(&row, "maximum")?,
        };
        let numbered = quote(&numbered.name);
        session
            .run(sequence.advance(&numbered, &table.relation.name()))
            .await?;
    }
    Ok(())
}
