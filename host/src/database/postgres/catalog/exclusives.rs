//! Finds the values that no two rows of a table may share: those of unique indexes and exclusion constraints.

use super::operators::{self, Strategy};
use crate::database::DatabaseError;
use crate::database::postgres::connection::{Session, column, query};

/// A unique index or an exclusion constraint.
#[derive(Clone, Debug)]
pub(in crate::database::postgres) struct Exclusive {
    pub name: String,
    /// What it compares, with the table's own column names.
    pub expressions: Vec<String>,
    /// The operators that compare them, in order.
    pub operators: Vec<String>,
    /// Which rows it is about, if not all.
    pub predicate: Option<String>,
    /// The columns that it depends on, and those that its generated columns are made of.
    pub columns: Vec<String>,
    /// Whether a NULL is equal to another one.
    pub nulls_equal: bool,
    /// Whether it is an exclusion constraint.
    pub is_constraint_of_operators: bool,
    /// Whether it is always checked row by row.
    pub immediate: bool,
}

impl Exclusive {
    /// Returns true if it depends on a column.
    pub fn involves(&self, column: &str) -> bool {
        self.columns.iter().any(|name| name == column)
    }

    /// Returns why a row is rejected whose value another row keeps.
    pub fn kept_elsewhere(&self) -> String {
        let kind = match self.is_constraint_of_operators {
            true => "exclusion",
            false => "unique",
        };
        format!(
            "it violates {kind} constraint {:?}: another row keeps the value",
            self.name
        )
    }
}

/// Finds all of a table's.
pub(super) async fn find(session: &mut Session, oid: i64) -> Result<Vec<Exclusive>, DatabaseError> {
    // `indnullsnotdistinct` came with PostgreSQL 15.
    let sql = format!(
        "SELECT c.relname::text AS name, i.indimmediate AS immediate, x.conexclop IS NOT NULL AS excludes, \
           coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false) AS nulls_equal, \
           pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS predicate, \
           ARRAY(SELECT pg_catalog.pg_get_indexdef(i.indexrelid, k, true) FROM generate_series(1, i.indnkeyatts::int) AS k ORDER BY k) AS expressions, \
           {} AS equals, {} AS excluding, \
           ARRAY(SELECT DISTINCT a.attname::text FROM ( \
               SELECT unnest(i.indkey::int2[])::int4 AS number \
               UNION SELECT d.refobjsubid FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass \
                 AND d.objid = i.indexrelid AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = i.indrelid) AS own \
             JOIN LATERAL (SELECT own.number UNION SELECT d.refobjsubid FROM pg_catalog.pg_attrdef f \
               JOIN pg_catalog.pg_attribute g ON g.attrelid = f.adrelid AND g.attnum = f.adnum AND g.attgenerated <> '' \
               JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.objid = f.oid \
                 AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = f.adrelid \
               WHERE f.adrelid = i.indrelid AND f.adnum = own.number) AS made(number) ON true \
             JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = made.number AND a.attnum > 0) AS columns \
         FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid \
         LEFT JOIN pg_catalog.pg_constraint x ON x.conindid = i.indexrelid AND x.contype = 'x' \
         WHERE i.indrelid = $1::int8::oid AND i.indisvalid AND (i.indisunique OR x.oid IS NOT NULL) ORDER BY c.relname",
        operators::of_index(Strategy::Equal),
        operators::of_numbers("x.conexclop")
    );
    let rows = session.rows(query(sql).bind(oid)).await?;
    let exclusives = rows.iter().map(|row| {
        let excludes: bool = column(row, "excludes")?;
        Ok(Exclusive {
            name: column(row, "name")?,
            expressions: column(row, "expressions")?,
            operators: column(row, if excludes { "excluding" } else { "equals" })?,
            predicate: column(row, "predicate")?,
            columns: column(row, "columns")?,
            nulls_equal: column(row, "nulls_equal")?,
            is_constraint_of_operators: excludes,
            immediate: column(row, "immediate")?,
        })
    });
    exclusives.collect()
}

/// Returns the columns that foreign keys refer to, those of partitions' parents included.
pub(super) async fn child_columns(
    session: &mut Session,
    oid: i64,
) -> Result<Vec<String>, DatabaseError> {
    let rows = session
        .rows(
            query(
                "SELECT DISTINCT a.attname::text AS name FROM pg_catalog.pg_constraint f \
                 JOIN pg_catalog.pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = ANY(f.confkey) \
                 WHERE f.contype = 'f' AND f.confrelid = $1::int8::oid",
            )
            .bind(oid),
        )
        .await?;
    rows.iter().map(|row| column(row, "name")).collect()
}

/// Returns true if triggers run when rows are deleted.
pub(super) async fn has_delete_triggers(
    session: &mut Session,
    oid: i64,
) -> Result<bool, DatabaseError> {
    let row = session
        .row(
            query(
                "SELECT 1 FROM pg_catalog.pg_trigger t WHERE NOT t.tgisinternal AND t.tgenabled NOT IN ('D', 'R') AND t.tgtype & 8 <> 0 \
                 AND (t.tgrelid = $1::int8::oid OR t.tgrelid IN \
                   (SELECT relid FROM pg_catalog.pg_partition_tree($1::int8::oid::regclass))) LIMIT 1",
            )
            .bind(oid),
        )
        .await?;
    Ok(row.is_some())
}
