//! The statements that take staged rows into a table. Pure: a resolved plan in, SQL out.

use super::staging::{EXISTING, Rows, STAGING, StagedColumn};
use crate::database::postgres::catalog::Relation;
use crate::database::quote;

/// How many staged rows tell whether the others are likely to exist.
const LOOK_ROWS: u32 = 64;

/// How the staged rows of one table are taken in; [`super::plan::resolve`] makes it.
#[derive(Clone, Debug)]
pub(in crate::database::postgres) struct Merge {
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
    /// Every row becomes what arrives: all columns are taken, whatever was there.
    pub overwrites: bool,
    /// Whether `ON CONFLICT` may name the key.
    pub arbitrated: bool,
    /// Whether triggers run, so that what a command counts and returns may not be what it wrote.
    pub triggered: bool,
}

impl Merge {
    /// Whether rows are only ever added.
    pub fn is_plain_insert(&self) -> bool {
        self.key.is_empty()
    }

    /// Whether the plan changes rows that exist.
    pub fn updates(&self) -> bool {
        self.update.is_some()
    }

    /// Whether rows that exist have to be told from new ones before anything is written.
    pub fn sets_apart(&self) -> bool {
        self.updates() && (self.triggered || !self.overwrites)
    }

    /// Makes the staging anew. It is emptied by every commit, and rolled back with its chunk.
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

    /// Copies rows into the table itself.
    pub fn copy_direct(&self) -> String {
        let names = list(&self.columns, |column| quote(&column.name));
        let name = self.relation.name();
        format!("COPY {name} ({names}) FROM STDIN (FORMAT binary)")
    }

    /// Makes the place where rows stand that exist, for plans that need them apart. Emptied with the staging.
    pub fn create_existing() -> String {
        format!(
            "DROP TABLE IF EXISTS {EXISTING}; \
             CREATE TEMPORARY TABLE tombolo_existing (LIKE {STAGING}) ON COMMIT DELETE ROWS"
        )
    }

    /// Adds staged rows in their order; with `look` only those that do not exist.
    pub fn insert(&self, rows: Rows, look: bool) -> String {
        let condition = match look {
            true => format!("{} AND NOT {}", rows.condition(), self.exists()),
            false => rows.condition(),
        };
        // Somebody else may insert the same key meanwhile.
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

    /// Adds staged rows and compares them, in their order, with what is stored. Answers: created, differing.
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

    /// Of the first staged rows: how many there are, how many exist, how many of these would change.
    pub fn look(&self, rows: Rows) -> String {
        let columns = list(&self.columns, |column| format!("t.{}", quote(&column.name)));
        let (condition, changes) = (rows.condition(), self.changes());
        // A key that is matched is not NULL.
        let found = self.key.first().map_or_else(
            || "NULL::int".to_owned(),
            |column| format!("t.{}", quote(&column.name)),
        );
        // OFFSET keeps the planner from any other order of joining.
        format!(
            "SELECT count(*), count({found}), count({found}) FILTER (WHERE {changes}) \
             FROM (SELECT * FROM {STAGING} AS s WHERE {condition} LIMIT {LOOK_ROWS}) AS s \
             LEFT JOIN LATERAL (SELECT {columns} FROM {} AS t WHERE {} OFFSET 0) AS t ON true",
            self.relation.only(),
            self.matches()
        )
    }

    /// Takes rows out of the staging that exist; the number of rows changed is theirs. `keep`: they go to [`EXISTING`].
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

    /// How many rows that exist pass the guard, and how many of them change.
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

    /// Changes rows that exist, and compares what is stored with what should be. Answers: updated, differing. None: there
    /// is nothing to change.
    ///
    /// What is compared is that the rule has nothing left to change: the row that was there is gone by then.
    /// `numbers`: of the only rows that may change one.
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

    /// How many staged rows are not in the table as they arrived.
    pub fn not_inserted(&self, rows: Rows) -> String {
        let local = list(&self.inserted, StagedColumn::local);
        let incoming = list(&self.inserted, StagedColumn::incoming);
        self.not_stored(STAGING, rows, &image_differs(&local, &incoming))
    }

    /// How many rows are not in the table as the rule without its guard would leave them.
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

    /// A condition: the staged row exists.
    pub fn exists(&self) -> String {
        format!(
            "EXISTS (SELECT 1 FROM {} AS t WHERE {})",
            self.relation.only(),
            self.matches()
        )
    }

    fn guard(&self) -> String {
        self.guard.as_ref().map_or_else(
            || "true".to_owned(),
            |column| format!("{} > {}", column.incoming(), column.local()),
        )
    }

    /// Whether a key is staged twice.
    pub fn duplicates(&self) -> String {
        let present = list_with(&self.key, " AND ", |column| {
            format!("s.c{} IS NOT NULL", column.position)
        });
        let key = list(&self.key, StagedColumn::incoming);
        format!(
            "SELECT 1 FROM {STAGING} AS s WHERE {present} GROUP BY {key} HAVING count(*) > 1 LIMIT 1"
        )
    }

    /// The numbers of rows whose key a row before them has.
    pub fn repeated(&self) -> String {
        repeated(&self.key, "true")
    }

    /// For each column whose cast from text is not exact by itself: its name, and the condition on `s` that its value would
    /// not be the one that was written.
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

    /// Those of some staged rows that exist with another image: position, local values, and with `incoming` the incoming ones.
    /// `mostly`: nearly all that exist do.
    pub fn conflicts(&self, condition: &str, incoming: bool, mostly: bool) -> String {
        let local = self.columns.iter().map(|column| {
            column
                .kind
                .read_expression(&format!("t.{}", quote(&column.name)))
        });
        let arrived = self
            .columns
            .iter()
            .map(|column| column.kind.read_expression(&column.incoming()));
        let arrived = arrived.filter(|_| incoming);
        let values: Vec<_> = local.chain(arrived).collect();
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
        list_with(&self.key, " AND ", |column| {
            format!("{} = {}", column.local(), column.incoming())
        })
    }

    /// Whether the update would store another image. `=` would call 1.0 and 1.00 equal, and json has none.
    fn changes(&self) -> String {
        match self.update.as_deref() {
            Some(columns @ [_, ..]) => image_differs(
                &list(columns, |(column, _)| column.local()),
                &list(columns, |(column, value)| updated(column, value)),
            ),
            _ => "false".to_owned(),
        }
    }

    /// The same, faster for rows that do change.
    fn changes_mostly(&self) -> String {
        self.quickly_or(self.changes())
    }

    /// A condition on images, after one that is faster where it is true: values that are not equal have no equal images.
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

/// What an existing row gets, as the column's base type.
fn updated(column: &StagedColumn, value: &str) -> String {
    format!("({value})::{}", column.kind.base)
}

/// The numbers of staged rows that fulfil a condition on `s` and have the same values in these columns, none of them NULL,
/// as one before them that does.
pub(in crate::database::postgres) fn repeated(columns: &[StagedColumn], condition: &str) -> String {
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
