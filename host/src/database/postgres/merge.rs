//! The statements that take staged rows into a table. Pure: a resolved plan in, SQL out.

use super::schema::Relation;
use super::types::ColumnType;
use crate::database::quote;

/// The staging's name in statements; a session has one at most.
pub(super) const STAGING: &str = "pg_temp.tombolo_staging";

/// One incoming column and where it goes; it is staged as `c` and its position.
#[derive(Clone, Debug)]
pub(super) struct StagedColumn {
    pub name: String,
    pub kind: ColumnType,
    pub position: usize,
    /// Staged as text that something else than this type has written.
    pub foreign_text: bool,
}

impl StagedColumn {
    /// The incoming value as the column's base type.
    pub(super) fn incoming(&self) -> String {
        self.incoming_of("s")
    }

    fn incoming_of(&self, alias: &str) -> String {
        format!("{alias}.c{}::{}", self.position, self.kind.base)
    }

    /// The local value as the column's base type.
    pub(super) fn local(&self) -> String {
        self.kind
            .base_expression(&format!("t.{}", quote(&self.name)))
    }
}

/// How the staged rows of one table are taken in; [`super::plan::resolve`] makes it.
#[derive(Clone, Debug)]
pub(super) struct Merge {
    pub relation: Relation,
    /// The incoming columns in order.
    pub columns: Vec<StagedColumn>,
    /// Columns that say whether a row exists; empty: every row is new.
    pub key: Vec<StagedColumn>,
    /// Columns that a new row gets; the database numbers the others.
    pub inserted: Vec<StagedColumn>,
    /// What an existing row gets: column and expression.
    pub update: Option<Vec<(StagedColumn, String)>>,
    pub guard: Option<StagedColumn>,
    /// Count the classes of rows on their own instead of concluding them from the commands' counts.
    pub classify: bool,
}

impl Merge {
    /// Whether rows are only ever added.
    pub(super) fn is_plain_insert(&self) -> bool {
        self.key.is_empty()
    }

    /// Whether the plan changes rows that exist.
    pub(super) fn updates(&self) -> bool {
        self.update.is_some()
    }

    /// Makes the staging anew. It is emptied by every commit, and rolled back with its chunk.
    pub(super) fn create_staging(&self) -> String {
        let columns: String = self
            .columns
            .iter()
            .map(|column| format!(", c{} {}", column.position, column.kind.staging_type()))
            .collect();
        format!(
            "DROP TABLE IF EXISTS {STAGING}; \
             CREATE TEMPORARY TABLE tombolo_staging (\"row\" bigint NOT NULL{columns}) ON COMMIT DELETE ROWS"
        )
    }

    /// Copies rows into the table itself.
    pub(super) fn copy_straight(&self) -> String {
        let names = list(&self.columns, |column| quote(&column.name));
        let name = self.relation.name();
        format!("COPY {name} ({names}) FROM STDIN (FORMAT binary)")
    }

    /// Adds all staged rows.
    pub(super) fn insert(&self, staged: &str) -> String {
        self.insert_where(staged, "")
    }

    fn insert_where(&self, staged: &str, condition: &str) -> String {
        let names = list(&self.inserted, |column| quote(&column.name));
        let values = list(&self.inserted, StagedColumn::incoming);
        let name = self.relation.name();
        let target = if names.is_empty() {
            name
        } else {
            format!("{name} ({names}) OVERRIDING SYSTEM VALUE")
        };
        format!(
            "INSERT INTO {target} SELECT {values} FROM {staged} AS s{condition} ORDER BY s.\"row\""
        )
    }

    /// Adds new rows and changes existing ones in one statement, so that both see the table as it was and a table that
    /// refers to itself is checked at the end. Answers: created, updated, and with [`Self::classify`] the numbers of
    /// matched rows, those that pass the guard, and those of them that change.
    ///
    /// `staged`: the staging, or an expression for a part of its rows.
    pub(super) fn merge(&self, staged: &str) -> String {
        let only = self.relation.only();
        let matches = self.matches();
        let missing = format!(" WHERE NOT EXISTS (SELECT 1 FROM {only} AS t WHERE {matches})");
        let created = format!(
            "created AS ({} RETURNING 1)",
            self.insert_where(staged, &missing)
        );
        let guard = self.guard.as_ref().map_or_else(
            || "true".to_owned(),
            |column| format!("{} > {}", column.incoming(), column.local()),
        );
        let changes = self.changes();
        let updated = match self.update.as_deref() {
            Some(columns @ [_, ..]) => {
                let set = list(columns, |(column, value)| {
                    format!("{} = {value}", quote(&column.name))
                });
                format!(
                    "UPDATE {only} AS t SET {set} FROM {staged} AS s \
                     WHERE {matches} AND {guard} AND {changes} RETURNING 1"
                )
            }
            _ => "SELECT 1 WHERE false".to_owned(),
        };
        let classes = if self.classify {
            format!(
                "SELECT count(*) AS matched, count(*) FILTER (WHERE {guard}) AS passed, \
                 count(*) FILTER (WHERE {guard} AND {changes}) AS changing \
                 FROM {staged} AS s JOIN {only} AS t ON {matches}"
            )
        } else {
            "SELECT NULL::bigint AS matched, NULL::bigint AS passed, NULL::bigint AS changing"
                .to_owned()
        };
        format!(
            "WITH {created}, updated AS ({updated}), classes AS ({classes}) \
             SELECT (SELECT count(*) FROM created), (SELECT count(*) FROM updated), matched, passed, changing \
             FROM classes"
        )
    }

    /// Whether a key is staged twice.
    pub(super) fn duplicates(&self) -> String {
        let present = list_with(&self.key, " AND ", |column| {
            format!("s.c{} IS NOT NULL", column.position)
        });
        let key = list(&self.key, StagedColumn::incoming);
        format!(
            "SELECT 1 FROM {STAGING} AS s WHERE {present} GROUP BY {key} HAVING count(*) > 1 LIMIT 1"
        )
    }

    /// Takes the rows out whose key a row before them has, and gives their numbers.
    pub(super) fn take_repeated(&self) -> String {
        let present = list_with(&self.key, " AND ", |column| {
            format!("s.c{} IS NOT NULL", column.position)
        });
        let key = list(&self.key, StagedColumn::incoming);
        format!(
            "DELETE FROM {STAGING} AS d USING (SELECT s.\"row\", row_number() OVER (PARTITION BY {key} ORDER BY s.\"row\") AS n \
             FROM {STAGING} AS s WHERE {present}) AS r WHERE d.\"row\" = r.\"row\" AND r.n > 1 RETURNING d.\"row\""
        )
    }

    /// For each column whose cast from text is not exact by itself: its name, and the query for the first row where the
    /// value would not be the one that was written.
    pub(super) fn inexact_casts(&self, staged: &str) -> Vec<(String, String)> {
        let conditions = |column: &StagedColumn| {
            let text = format!("s.c{}", column.position);
            let bare = format!("{text}::{}", column.kind.bare);
            let printed = format!("pg_catalog.format('%s', {bare}) <> {text}");
            let rounded = format!("{bare} <> {}", column.incoming());
            match (column.foreign_text, column.kind.lossy_modifier) {
                (true, true) => Some(format!("{printed} OR {rounded}")),
                (true, false) => Some(printed),
                (false, true) => Some(rounded),
                (false, false) => None,
            }
        };
        let inexact = self.columns.iter().filter_map(|column| {
            let sql = format!(
                "SELECT 1 FROM {staged} AS s WHERE {} LIMIT 1",
                conditions(column)?
            );
            Some((column.name.clone(), sql))
        });
        inexact.collect()
    }

    /// Staged rows behind `$1` that exist with another image, at most `$2`: position, incoming values, local values.
    pub(super) fn conflicts(&self) -> String {
        let incoming = list(&self.columns, |column| {
            column.kind.read_expression(&column.incoming())
        });
        let local = list(&self.columns, |column| {
            column
                .kind
                .read_expression(&format!("t.{}", quote(&column.name)))
        });
        let differs = image_differs(
            &list(&self.columns, StagedColumn::local),
            &list(&self.columns, StagedColumn::incoming),
        );
        format!(
            "SELECT s.\"row\", {incoming}, {local} FROM {STAGING} AS s JOIN {} AS t ON {} \
             WHERE s.\"row\" > $1 AND {differs} ORDER BY s.\"row\" LIMIT $2",
            self.relation.only(),
            self.matches()
        )
    }

    /// How many rewritten rows, staged at their negated position, keep the key of the row they replace.
    pub(super) fn rewritten_with_same_key(&self) -> String {
        let differs = image_differs(
            &list(&self.key, |column| column.incoming_of("n")),
            &list(&self.key, |column| column.incoming_of("o")),
        );
        format!(
            "SELECT count(*) FROM {STAGING} AS n JOIN {STAGING} AS o ON o.\"row\" = -n.\"row\" \
             WHERE n.\"row\" < 0 AND NOT {differs}"
        )
    }

    fn matches(&self) -> String {
        list_with(&self.key, " AND ", |column| {
            format!("{} = {}", column.local(), column.incoming())
        })
    }

    /// Whether the update would store another image. `=` would call 1.0 and 1.00 equal, and json has none.
    fn changes(&self) -> String {
        match self.update.as_deref() {
            Some(columns @ [_, ..]) => image_differs(
                &list(columns, |(column, _)| column.local()),
                &list(columns, |(column, value)| {
                    format!("({value})::{}", column.kind.base)
                }),
            ),
            _ => "false".to_owned(),
        }
    }
}

fn image_differs(left: &str, right: &str) -> String {
    format!("pg_catalog.record_image_ne(ROW({left}), ROW({right}))")
}

fn list<T>(items: &[T], write: impl Fn(&T) -> String) -> String {
    list_with(items, ", ", write)
}

fn list_with<T>(items: &[T], separator: &str, write: impl Fn(&T) -> String) -> String {
    items.iter().map(write).collect::<Vec<_>>().join(separator)
}
