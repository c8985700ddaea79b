//! Builds the statements that write staged rows into a table.

use super::staging::{EXISTING, Rows, STAGING, StagedColumn};
use crate::database::postgres::catalog::Relation;
use crate::database::quote;

/// So many staged rows tell whether the others are likely to exist.
const LOOK_ROWS: u32 = 64;

/// How the staged rows of one table are written.
#[derive(Clone, Debug)]
pub(super) struct Merge {
    pub relation: Relation,
    /// The incoming columns in order.
    pub columns: Vec<StagedColumn>,
    /// Columns that tell whether a row exists; empty if every row is new.
    pub key: Vec<StagedColumn>,
    /// Columns that are inserted; the database numbers the others.
    pub inserted: Vec<StagedColumn>,
    /// The assignments to an existing row: column and expression.
    pub update: Option<Vec<(StagedColumn, String)>>,
    pub guard: Option<StagedColumn>,
    /// Whether all incoming columns overwrite an existing row.
    pub overwrites: bool,
    /// Whether `ON CONFLICT` may name the key.
    pub arbitrated: bool,
    /// Whether triggers run: a command may then count and return other rows than it was given.
    pub triggered: bool,
}

impl Merge {
    /// Returns true if every row is inserted.
    pub fn is_plain_insert(&self) -> bool {
        self.key.is_empty()
    }

    /// Returns true if the plan changes rows that exist.
    pub fn updates(&self) -> bool {
        self.update.is_some()
    }

    /// Returns true if existing rows have to be separated from new ones before anything is written.
    pub fn sets_apart(&self) -> bool {
        self.updates() && (self.triggered || !self.overwrites)
    }

    /// Replaces the staging. Every commit empties it, and it is rolled back with its chunk.
    pub fn create_staging(&self) -> String {
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

    /// Copies rows directly into the table.
    pub fn copy_direct(&self) -> String {
        let names = list(&self.columns, |column| quote(&column.name));
        let name = self.relation.name();
        format!("COPY {name} ({names}) FROM STDIN (FORMAT binary)")
    }

    /// Replaces the table of staged rows that exist, for plans that separate them. It is emptied with the staging.
    pub fn create_existing() -> String {
        format!(
            "DROP TABLE IF EXISTS {EXISTING}; \
             CREATE TEMPORARY TABLE tombolo_existing (LIKE {STAGING}) ON COMMIT DELETE ROWS"
        )
    }

    /// Inserts staged rows in order; with `look` only those that do not exist.
    pub fn insert(&self, rows: Rows, look: bool) -> String {
        let condition = match look {
            true => format!("{} AND NOT {}", rows.condition(), self.exists()),
            false => rows.condition(),
        };
        // Another session may insert the same key meanwhile.
        let conflict = match self.arbitrated {
            true => format!(
                " ON CONFLICT ({}) DO NOTHING",
                list(&self.key, |column| quote(&column.name))
            ),
            false => String::new(),
        };
        let names = list(&self.inserted, |column| quote(&column.name));
        let values = list(&self.inserted, StagedColumn::incoming);
        let name = self.relation.name();
        let target = if names.is_empty() {
            name
        } else {
            format!("{name} ({names}) OVERRIDING SYSTEM VALUE")
        };
        format!(
            "INSERT INTO {target} SELECT {values} FROM {STAGING} AS s WHERE {condition} ORDER BY s.\"row\"{conflict}"
        )
    }

    /// Inserts staged rows in order and compares them with what is stored. Selects: created, differing.
    pub fn insert_compared(&self, rows: Rows) -> String {
        let insert = self.insert(rows, false);
        if self.inserted.is_empty() {
            return format!("WITH n AS ({insert} RETURNING 1) SELECT count(*), 0::bigint FROM n");
        }
        let returned = list(&self.inserted, |column| {
            let value = column.kind.base_expression(&quote(&column.name));
            format!("{value} AS c{}", column.position)
        });
        let stored = list(&self.inserted, |column| format!("n.c{}", column.position));
        let sent = list(&self.inserted, |column| column.incoming_of("w"));
        let (condition, differs) = (rows.condition(), image_differs(&stored, &sent));
        format!(
            "WITH created AS ({insert} RETURNING {returned}), \
             n AS (SELECT *, row_number() OVER () AS number FROM created), \
             w AS (SELECT s.*, row_number() OVER (ORDER BY s.\"row\") AS number FROM {STAGING} AS s WHERE {condition}) \
             SELECT count(n.number), count(*) FILTER (WHERE n.number IS NULL OR {differs}) \
             FROM w LEFT JOIN n ON n.number = w.number"
        )
    }

    /// Selects of the first staged rows: how many there are, how many exist, and how many of these would change.
    pub fn look(&self, rows: Rows) -> String {
        let columns = list(&self.columns, |column| format!("t.{}", quote(&column.name)));
        let (condition, changes) = (rows.condition(), self.changes());
        // A matched key is not NULL.
        let found = self.key.first().map_or_else(
            || "NULL::int".to_owned(),
            |column| format!("t.{}", quote(&column.name)),
        );
        // OFFSET keeps the planner from another join order.
        format!(
            "SELECT count(*), count({found}), count({found}) FILTER (WHERE {changes}) \
             FROM (SELECT * FROM {STAGING} AS s WHERE {condition} LIMIT {LOOK_ROWS}) AS s \
             LEFT JOIN LATERAL (SELECT {columns} FROM {} AS t WHERE {} OFFSET 0) AS t ON true",
            self.relation.only(),
            self.matches()
        )
    }

    /// Removes rows that exist from the staging; with `keep` they go to [`EXISTING`]. The number of changed rows is
    /// theirs.
    pub fn take_existing(&self, rows: Rows, keep: bool) -> String {
        let delete = format!(
            "DELETE FROM {STAGING} AS s USING {} AS t WHERE {} AND {}",
            self.relation.only(),
            rows.condition(),
            self.matches()
        );
        if !keep {
            return delete;
        }
        format!("WITH taken AS ({delete} RETURNING s.*) INSERT INTO {EXISTING} SELECT * FROM taken")
    }

    /// Selects how many rows that exist pass the guard, and how many of these change.
    pub fn classes(&self, rows: Rows) -> String {
        let (guard, changes) = (self.guard(), self.changes());
        format!(
            "SELECT count(*) FILTER (WHERE {guard}), count(*) FILTER (WHERE {guard} AND {changes}) \
             FROM {EXISTING} AS s JOIN {} AS t ON {} WHERE {}",
            self.relation.only(),
            self.matches(),
            rows.condition()
        )
    }

    /// Changes rows that exist, and compares what is stored with what should be. Selects: updated, differing. None if
    /// there is nothing to change.
    ///
    /// A row is stored as it should be if the rule has nothing left to change: its old image is not known any more.
    /// `numbers` are those of the only rows that may change one.
    pub fn update(&self, source: &str, rows: Rows, numbers: Option<&[i64]>) -> Option<String> {
        let columns = self
            .update
            .as_deref()
            .filter(|columns| !columns.is_empty())?;
        let set = list(columns, |(column, value)| {
            format!("{} = {value}", quote(&column.name))
        });
        let (only, matches) = (self.relation.only(), self.matches());
        let (guard, changes, mut rows) = (self.guard(), self.changes(), rows.condition());
        if let Some(numbers) = numbers {
            let numbers = list(numbers, i64::to_string);
            rows = format!("{rows} AND s.\"row\" = ANY ('{{{numbers}}}'::bigint[])");
        }
        let changes_mostly = self.changes_mostly();
        Some(format!(
            "WITH updated AS (UPDATE {only} AS t SET {set} FROM {source} AS s \
             WHERE {rows} AND {matches} AND {guard} AND {changes_mostly} \
             RETURNING ({matches}) AND NOT {changes} AS stored) \
             SELECT count(*), count(*) FILTER (WHERE stored IS NOT TRUE) FROM updated"
        ))
    }

    /// Selects how many staged rows are not in the table as they were sent.
    pub fn not_inserted(&self, rows: Rows) -> String {
        let local = list(&self.inserted, StagedColumn::local);
        let incoming = list(&self.inserted, StagedColumn::incoming);
        self.not_stored(STAGING, rows, &image_differs(&local, &incoming))
    }

    /// Selects how many rows are not in the table as the rule without its guard would leave them.
    pub fn not_updated(&self, source: &str, rows: Rows) -> String {
        self.not_stored(source, rows, &self.changes())
    }

    fn not_stored(&self, source: &str, rows: Rows, differs: &str) -> String {
        format!(
            "SELECT count(*) FROM {source} AS s WHERE {} \
             AND NOT EXISTS (SELECT 1 FROM {} AS t WHERE {} AND NOT {differs})",
            rows.condition(),
            self.relation.only(),
            self.matches()
        )
    }

    /// Returns the condition that a staged row exists.
    pub fn exists(&self) -> String {
        format!(
            "EXISTS (SELECT 1 FROM {} AS t WHERE {})",
            self.relation.only(),
            self.matches()
        )
    }

    /// Selects those of the staged rows `$1` that do not exist with their values of these columns, to which the plan
    /// would set them.
    pub fn changing(&self, columns: &[usize]) -> String {
        let exists = match self.is_plain_insert() {
            true => String::new(),
            false => format!(
                " AND NOT EXISTS (SELECT 1 FROM {} AS t WHERE {}{})",
                self.relation.only(),
                self.matches(),
                self.keeps(columns)
            ),
        };
        format!("SELECT s.\"row\" FROM {STAGING} AS s WHERE s.\"row\" = ANY($1){exists}")
    }

    /// The conditions that an update leaves these columns as they are.
    fn keeps(&self, columns: &[usize]) -> String {
        let updated = self.update.iter().flatten();
        let updated = updated.filter(|(column, _)| columns.contains(&column.position));
        let keeps = |(column, _): &(StagedColumn, String)| {
            format!(
                " AND ({})::pg_catalog.text OPERATOR(pg_catalog.=) ({})::pg_catalog.text",
                column.local(),
                column.incoming()
            )
        };
        updated.map(keeps).collect()
    }

    /// Compares by the type's own order, as a record of one column: `>` may be another operator, or be in another
    /// schema.
    fn guard(&self) -> String {
        let Some(column) = &self.guard else {
            return "true".to_owned();
        };
        let (incoming, local) = (column.incoming(), column.local());
        format!(
            "({incoming} IS DISTINCT FROM NULL AND {local} IS DISTINCT FROM NULL \
             AND pg_catalog.record_gt(ROW({incoming}), ROW({local})))"
        )
    }

    /// Selects a row if a key is staged twice.
    pub fn duplicates(&self) -> String {
        let present = list_with(&self.key, " AND ", |column| {
            format!("s.c{} IS NOT NULL", column.position)
        });
        let key = list(&self.key, StagedColumn::incoming);
        format!(
            "SELECT 1 FROM {STAGING} AS s WHERE {present} GROUP BY {key} HAVING count(*) > 1 LIMIT 1"
        )
    }

    /// Selects the numbers of rows whose key an earlier row has.
    pub fn repeated(&self) -> String {
        repeated(&self.key, "true")
    }

    /// Returns, for each column whose cast from text may be inexact, its name and the condition on `s` that it is.
    pub fn inexact_casts(&self) -> Vec<(String, String)> {
        let condition = |column: &StagedColumn| {
            let text = format!("s.c{}", column.position);
            let bare = column.kind.bare_expression(&text);
            let printed = format!("pg_catalog.format('%s', {bare}) <> {text}");
            let rounded = format!("{bare} <> {}", column.incoming());
            match (column.foreign_text, column.kind.lossy_modifier) {
                (true, true) => Some(format!("({printed} OR {rounded})")),
                (true, false) => Some(printed),
                (false, true) => Some(rounded),
                (false, false) => None,
            }
        };
        let inexact = self.columns.iter();
        inexact
            .filter_map(|column| Some((column.name.clone(), condition(column)?)))
            .collect()
    }

    /// Selects those of some staged rows that exist with another image: number, local values, and with `incoming` the
    /// incoming ones. `mostly`: nearly all that exist do.
    pub fn conflicts(&self, condition: &str, incoming: bool, mostly: bool) -> String {
        let local = self.columns.iter().map(|column| {
            column
                .kind
                .read_expression(&format!("t.{}", quote(&column.name)))
        });
        let received = self
            .columns
            .iter()
            .map(|column| column.kind.read_expression(&column.incoming()));
        let received = received.filter(|_| incoming);
        let values: Vec<_> = local.chain(received).collect();
        let differs = image_differs(
            &list(&self.columns, StagedColumn::local),
            &list(&self.columns, StagedColumn::incoming),
        );
        let differs = match mostly {
            true => self.quickly_or(differs),
            false => differs,
        };
        format!(
            "SELECT s.\"row\", {} FROM {STAGING} AS s JOIN {} AS t ON {} \
             WHERE {condition} AND {differs}",
            values.join(", "),
            self.relation.only(),
            self.matches()
        )
    }

    fn matches(&self) -> String {
        list_with(&self.key, " AND ", StagedColumn::matches)
    }

    /// Returns the condition that the update would store another image. `=` takes 1.0 and 1.00 as equal, and json has
    /// none.
    fn changes(&self) -> String {
        match self.update.as_deref() {
            Some(columns @ [_, ..]) => image_differs(
                &list(columns, |(column, _)| column.local()),
                &list(columns, |(column, value)| updated(column, value)),
            ),
            _ => "false".to_owned(),
        }
    }

    /// Returns the same condition, faster for rows that do change.
    fn changes_mostly(&self) -> String {
        self.quickly_or(self.changes())
    }

    /// Returns a condition on images, after one that is faster where it is true: unequal values have no equal images.
    fn quickly_or(&self, images_differ: String) -> String {
        let columns = self.update.as_deref().unwrap_or_default();
        let quick = columns
            .iter()
            .filter(|(column, _)| column.kind.physical.is_compared_quickly());
        let quick = quick.map(|(column, value)| {
            format!(
                "{} IS DISTINCT FROM {}",
                column.local(),
                updated(column, value)
            )
        });
        let conditions: Vec<_> = quick.chain([images_differ]).collect();
        format!("({})", conditions.join(" OR "))
    }
}

/// Returns the new value of an existing row as the column's base type.
fn updated(column: &StagedColumn, value: &str) -> String {
    format!("({value})::{}", column.kind.base)
}

/// Selects the numbers of staged rows for which a condition on `s` is true and that have the same values in these
/// columns, none of them NULL, as an earlier such row.
pub(super) fn repeated(columns: &[StagedColumn], condition: &str) -> String {
    let present = list_with(columns, " AND ", |column| {
        format!("s.c{} IS NOT NULL", column.position)
    });
    let values = list(columns, StagedColumn::incoming);
    format!(
        "SELECT r.\"row\" FROM (SELECT s.\"row\", row_number() OVER (PARTITION BY {values} ORDER BY s.\"row\") AS n \
         FROM {STAGING} AS s WHERE {present} AND {condition}) AS r WHERE r.n > 1"
    )
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
