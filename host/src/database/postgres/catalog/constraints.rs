//! Finds what decides how the rows of a table are written: its triggers and constraints.

use super::Description;
use super::exclusives::{self, Exclusive};
use super::operators::{self, Strategy};
use crate::database::DatabaseError;
use crate::database::postgres::connection::{Session, column, query};

/// A CHECK constraint.
#[derive(Clone, Debug)]
pub(in crate::database::postgres) struct Check {
    pub name: String,
    /// As PostgreSQL prints it, with the table's own column names.
    pub expression: String,
    pub columns: Vec<String>,
}

/// A foreign key whose rows are checked as soon as all its columns have values.
#[derive(Clone, Debug)]
pub(in crate::database::postgres) struct Reference {
    pub name: String,
    pub columns: Vec<String>,
    /// The table referred to, quoted.
    pub parent: String,
    pub parent_columns: Vec<String>,
    /// The operators that compare the parent's columns, on the left, with these.
    pub equals: Vec<String>,
    /// Whether rows refer to rows of their own table.
    pub own_table: bool,
}

/// A unique index over columns alone, for which NULLs differ.
#[derive(Clone, Debug)]
pub(in crate::database::postgres) struct Unique {
    pub name: String,
    pub columns: Vec<String>,
    /// The operators by which it compares its columns.
    pub equals: Vec<String>,
    /// Whether it is checked at once, so that `ON CONFLICT` may name it.
    pub immediate: bool,
}

impl Unique {
    fn is_of(&self, key: &[&str]) -> bool {
        let mut columns = self.columns.iter();
        self.columns.len() == key.len() && columns.all(|name| key.contains(&name.as_str()))
    }
}

/// An enabled trigger that a user created.
#[derive(Clone, Debug)]
pub(in crate::database::postgres) struct Trigger {
    pub name: String,
    /// Whether it fires before a row is written, and can change or drop the row.
    pub before_row: bool,
}

/// The triggers and constraints of one table.
#[derive(Clone, Debug, Default)]
pub(in crate::database::postgres) struct Constraints {
    pub checks: Vec<Check>,
    pub references: Vec<Reference>,
    pub unique: Vec<Unique>,
    pub triggers: Vec<Trigger>,
    /// What no two rows may share, the primary key included.
    pub exclusives: Vec<Exclusive>,
    /// The columns that foreign keys refer to.
    pub child_columns: Vec<String>,
    /// Whether triggers run when rows are deleted.
    pub has_delete_triggers: bool,
    /// Columns whose collation takes texts to be equal that are written otherwise, and the collation, quoted.
    pub loose_collations: Vec<(String, String)>,
    /// Whether there are constraints that only the database can check: domains with checks, exclusion constraints.
    pub opaque: bool,
}

impl Constraints {
    pub fn has_before_triggers(&self) -> bool {
        self.triggers.iter().any(|trigger| trigger.before_row)
    }

    /// Returns true if rows of other tables, or of the table itself, refer to its rows.
    pub fn has_children(&self) -> bool {
        !self.child_columns.is_empty()
    }

    /// Returns true if triggers run after the rows are written.
    pub fn has_after_triggers(&self) -> bool {
        self.triggers.iter().any(|trigger| !trigger.before_row)
    }

    pub fn refers_to_itself(&self) -> bool {
        self.references.iter().any(|reference| reference.own_table)
    }

    pub fn trigger_names(&self) -> Vec<String> {
        let names = self.triggers.iter().map(|trigger| trigger.name.clone());
        names.collect()
    }

    /// Returns why a row is missing that was written without an error.
    pub fn left_out(&self) -> String {
        let names: Vec<String> = self
            .triggers
            .iter()
            .filter(|trigger| trigger.before_row)
            .map(|trigger| format!("{:?}", trigger.name))
            .collect();
        match names.as_slice() {
            [one] => format!("trigger {one} left it out"),
            _ => format!("one of the triggers {} left it out", names.join(", ")),
        }
    }

    /// Returns true if `ON CONFLICT` may name exactly these columns.
    pub fn arbitrates(&self, key: &[&str]) -> bool {
        self.unique
            .iter()
            .any(|unique| unique.immediate && unique.is_of(key))
    }

    /// Returns the operator by which the unique index of exactly these columns compares one of them.
    pub fn equals(&self, key: &[&str], column: &str) -> Option<&str> {
        let unique = self.unique.iter().find(|unique| unique.is_of(key))?;
        let position = unique.columns.iter().position(|name| name == column)?;
        unique.equals.get(position).map(String::as_str)
    }
}

/// Finds the triggers and constraints of a table.
pub(in crate::database::postgres) async fn find(
    session: &mut Session,
    local: &Description,
) -> Result<Constraints, DatabaseError> {
    let oid = local.relation.oid;
    Ok(Constraints {
        checks: checks(session, oid).await?,
        references: references(session, oid).await?,
        unique: unique(session, oid).await?,
        triggers: triggers(session, oid).await?,
        exclusives: exclusives::find(session, oid).await?,
        child_columns: exclusives::child_columns(session, oid).await?,
        has_delete_triggers: exclusives::has_delete_triggers(session, oid).await?,
        loose_collations: loose_collations(session, oid).await?,
        opaque: opaque(session, oid).await?,
    })
}

/// Returns an expression for the names of a constraint's or index's columns, in order.
fn names(relation: &str, numbers: &str) -> String {
    format!(
        "ARRAY(SELECT a.attname::text FROM unnest({numbers}) WITH ORDINALITY AS k(attnum, position) \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = {relation} AND a.attnum = k.attnum ORDER BY k.position)"
    )
}

async fn checks(session: &mut Session, oid: i64) -> Result<Vec<Check>, DatabaseError> {
    let sql = format!(
        "SELECT c.conname::text AS name, pg_catalog.pg_get_expr(c.conbin, c.conrelid) AS expression, {} AS columns FROM pg_catalog.pg_constraint c \
         WHERE c.contype = 'c' AND c.conrelid = $1::int8::oid ORDER BY c.conname",
        names("c.conrelid", "c.conkey")
    );
    let rows = session.rows(query(sql).bind(oid)).await?;
    let checks = rows.iter().map(|row| {
        Ok(Check {
            name: column(row, "name")?,
            expression: column(row, "expression")?,
            columns: column(row, "columns")?,
        })
    });
    checks.collect()
}

/// Leaves out those where NULL counts (`MATCH FULL` over several columns), and where rows of the parent may be hidden.
async fn references(session: &mut Session, oid: i64) -> Result<Vec<Reference>, DatabaseError> {
    let sql = format!(
        "SELECT c.conname::text AS name, {} AS columns, \
         pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(p.relname) AS parent, {} AS parent_columns, \
         {} AS equals, c.confrelid = c.conrelid AS own_table FROM pg_catalog.pg_constraint c \
         JOIN pg_catalog.pg_class p ON p.oid = c.confrelid JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace \
         WHERE c.contype = 'f' AND c.conrelid = $1::int8::oid AND NOT p.relrowsecurity \
         AND (c.confmatchtype = 's' OR pg_catalog.cardinality(c.conkey) = 1) ORDER BY c.conname",
        names("c.conrelid", "c.conkey"),
        names("c.confrelid", "c.confkey"),
        operators::of_numbers("c.conpfeqop")
    );
    let rows = session.rows(query(sql).bind(oid)).await?;
    let references = rows.iter().map(|row| {
        Ok(Reference {
            name: column(row, "name")?,
            columns: column(row, "columns")?,
            parent: column(row, "parent")?,
            parent_columns: column(row, "parent_columns")?,
            equals: column(row, "equals")?,
            own_table: column(row, "own_table")?,
        })
    });
    references.collect()
}

async fn unique(session: &mut Session, oid: i64) -> Result<Vec<Unique>, DatabaseError> {
    // `indnullsnotdistinct` came with PostgreSQL 15.
    let sql = format!(
        "SELECT c.relname::text AS name, {} AS columns, {} AS equals, i.indimmediate AS immediate FROM pg_catalog.pg_index i \
         JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid \
         WHERE i.indrelid = $1::int8::oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL \
         AND NOT coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false) ORDER BY c.relname",
        names("i.indrelid", "(i.indkey::int2[])[0:i.indnkeyatts - 1]"),
        operators::of_index(Strategy::Equal)
    );
    let rows = session.rows(query(sql).bind(oid)).await?;
    let unique = rows.iter().map(|row| {
        Ok(Unique {
            name: column(row, "name")?,
            columns: column(row, "columns")?,
            equals: column(row, "equals")?,
            immediate: column(row, "immediate")?,
        })
    });
    unique.collect()
}

/// Includes those of partitions, which fire as well.
async fn triggers(session: &mut Session, oid: i64) -> Result<Vec<Trigger>, DatabaseError> {
    let rows = session
        .rows(
            query(
                "SELECT t.tgname::text AS name, bool_or(t.tgtype & 3 = 3) AS before_row FROM pg_catalog.pg_trigger t \
                 WHERE NOT t.tgisinternal AND t.tgenabled NOT IN ('D', 'R') AND t.tgtype & 20 <> 0 \
                 AND (t.tgrelid = $1::int8::oid OR t.tgrelid IN \
                   (SELECT relid FROM pg_catalog.pg_partition_tree($1::int8::oid::regclass))) \
                 GROUP BY t.tgname ORDER BY t.tgname",
            )
            .bind(oid),
        )
        .await?;
    let triggers = rows.iter().map(|row| {
        Ok(Trigger {
            name: column(row, "name")?,
            before_row: column(row, "before_row")?,
        })
    });
    triggers.collect()
}

async fn loose_collations(
    session: &mut Session,
    oid: i64,
) -> Result<Vec<(String, String)>, DatabaseError> {
    let rows = session
        .rows(
            query(
                "SELECT a.attname::text AS name, \
                 pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.collname) AS collation \
                 FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_collation c ON c.oid = a.attcollation \
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace \
                 WHERE a.attrelid = $1::int8::oid AND a.attnum > 0 AND NOT a.attisdropped AND NOT c.collisdeterministic",
            )
            .bind(oid),
        )
        .await?;
    let collations = rows
        .iter()
        .map(|row| Ok((column(row, "name")?, column(row, "collation")?)));
    collations.collect()
}

async fn opaque(session: &mut Session, oid: i64) -> Result<bool, DatabaseError> {
    let row = session
        .row(
            query(
                "SELECT 1 FROM pg_catalog.pg_constraint WHERE conrelid = $1::int8::oid AND contype = 'x' \
                 UNION ALL SELECT 1 FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
                 WHERE a.attrelid = $1::int8::oid AND a.attnum > 0 AND NOT a.attisdropped AND t.typtype = 'd' LIMIT 1",
            )
            .bind(oid),
        )
        .await?;
    Ok(row.is_some())
}
