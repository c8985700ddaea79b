//! What a table has that its schema does not describe: indexes, checks, triggers, policies and more.

use std::collections::HashMap;

use crate::database::DatabaseError;
use crate::database::postgres::connection::{Session, column, query};

/// The most features of one table that are named, and the most characters of one.
const LIMITS: &str = "LIMIT 1000";

/// Each part is a SELECT of a sort number and a phrase; `r.oid` is the table.
const PARTS: [&str; 15] = [
    // Unique keys of plain columns are part of the schema.
    "SELECT 1, 'the index ' || pg_catalog.quote_ident(c.relname) FROM pg_catalog.pg_index i \
     JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = r.oid \
     AND NOT (i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL) \
     AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_constraint x WHERE x.conindid = c.oid AND x.contype = 'x')",
    "SELECT 2, 'the check ' || pg_catalog.quote_ident(conname) FROM pg_catalog.pg_constraint \
     WHERE conrelid = r.oid AND contype = 'c'",
    "SELECT 3, 'the exclusion ' || pg_catalog.quote_ident(conname) FROM pg_catalog.pg_constraint \
     WHERE conrelid = r.oid AND contype = 'x'",
    "SELECT 4, 'the trigger ' || pg_catalog.quote_ident(tgname) FROM pg_catalog.pg_trigger \
     WHERE tgrelid = r.oid AND NOT tgisinternal",
    "SELECT 5, 'the rule ' || pg_catalog.quote_ident(rulename) FROM pg_catalog.pg_rewrite \
     WHERE ev_class = r.oid AND rulename <> '_RETURN'",
    "SELECT 6, 'the policy ' || pg_catalog.quote_ident(polname) FROM pg_catalog.pg_policy WHERE polrelid = r.oid",
    "SELECT DISTINCT 7, 'the view ' || pg_catalog.quote_ident(v.relname) FROM pg_catalog.pg_depend d \
     JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid JOIN pg_catalog.pg_class v ON v.oid = w.ev_class \
     WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass \
     AND d.refobjid = r.oid AND v.relkind IN ('v', 'm')",
    "SELECT 8, CASE WHEN d.objsubid = 0 THEN 'the comment on the table' \
       ELSE 'the comment on column ' || pg_catalog.quote_ident(a.attname) END FROM pg_catalog.pg_description d \
     LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = d.objoid AND a.attnum = d.objsubid AND d.objsubid > 0 \
     WHERE d.classoid = 'pg_catalog.pg_class'::regclass AND d.objoid = r.oid",
    "SELECT 9, 'the partition ' || pg_catalog.quote_ident(c.relname) FROM pg_catalog.pg_inherits i \
     JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = r.oid AND c.relispartition",
    "SELECT 10, 'that it inherits from ' || pg_catalog.quote_ident(c.relname) FROM pg_catalog.pg_inherits i \
     JOIN pg_catalog.pg_class c ON c.oid = i.inhparent WHERE i.inhrelid = r.oid",
    "SELECT 11, 'the collation ' || pg_catalog.quote_ident(l.collname) || ' of column ' || pg_catalog.quote_ident(a.attname) \
     FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
     JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation \
     WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attcollation <> t.typcollation",
    "SELECT 12, 'the start or step of the numbers of column ' || pg_catalog.quote_ident(a.attname) FROM pg_catalog.pg_depend d \
     JOIN pg_catalog.pg_sequence s ON s.seqrelid = d.objid \
     JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid \
     WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refobjid = r.oid AND d.refobjsubid > 0 \
     AND d.deptype IN ('a', 'i') AND (s.seqstart <> 1 OR s.seqincrement <> 1 OR s.seqcycle)",
    "SELECT 13, 'the contents of the large objects that column ' || pg_catalog.quote_ident(a.attname) || ' may name' \
     FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
     WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped \
     AND (t.oid = 26 OR t.typbasetype = 26) AND EXISTS (SELECT 1 FROM pg_catalog.pg_largeobject_metadata)",
    "SELECT 14, 'that it is unlogged' FROM pg_catalog.pg_class WHERE oid = r.oid AND relpersistence = 'u'",
    "SELECT 15, 'its storage options' FROM pg_catalog.pg_class WHERE oid = r.oid AND reloptions IS NOT NULL",
];

/// Returns the features of tables, one phrase each, by the tables' object identifiers.
pub(in crate::database::postgres) async fn of_tables(
    session: &mut Session,
    relations: &[i64],
) -> Result<HashMap<i64, Vec<String>>, DatabaseError> {
    let parts = PARTS.map(|part| format!("({part})")).join(" UNION ALL ");
    let sql = format!(
        "SELECT r.oid::int8 AS relation, pg_catalog.left(f.phrase, 300) AS phrase \
         FROM unnest($1::int8[]::oid[]) AS r (oid), \
         LATERAL (SELECT * FROM ({parts}) AS p (number, phrase) \
           ORDER BY p.number, p.phrase COLLATE pg_catalog.\"C\" {LIMITS}) AS f \
         ORDER BY r.oid, f.number, f.phrase COLLATE pg_catalog.\"C\""
    );
    let rows = session.rows(query(sql).bind(relations.to_vec())).await?;
    let mut tables: HashMap<i64, Vec<String>> = HashMap::new();
    for row in &rows {
        let features = tables.entry(column(row, "relation")?).or_default();
        features.push(column(row, "phrase")?);
    }
    Ok(tables)
}
