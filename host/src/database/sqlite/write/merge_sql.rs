//! The SQL that merges staged rows into a table.

use crate::bindings::types::{Dialect, Generation, TableSchema};
use crate::database::sqlite::catalog::Table;
use crate::database::{
    CheckedPlan, CheckedUpdate, DatabaseError, NewValue, PlanAction, PlanColumn, quote,
    value_expression,
};

/// The statements for one table and one plan.
///
/// `s` is the staging. Its columns are `row`, `cells` (the encoded row, if its values do not give it) and `c0`, `c1`, …
/// without types, because staged values are those that the table stores. `t` is the table. Statements that change the
/// table do so for a range of staged rows.
#[derive(Debug)]
pub struct Merge {
    table: String,
    /// The columns' quoted names, by their position in the staging.
    pub columns: Vec<String>,
    /// The columns by which rows are matched; empty if none match.
    key: Vec<KeyColumn>,
    /// The positions of the columns that new rows get values in.
    inserted: Vec<usize>,
    /// Quoted names of columns that are inserted as NULL, if new rows have no others.
    numbered: Vec<String>,
    /// A name for the rowid, if SQLite assigns it.
    rowid: Option<&'static str>,
    regenerates: bool,
    update: Option<Update>,
}

#[derive(Debug)]
struct KeyColumn {
    position: usize,
    collation: Option<String>,
}

#[derive(Debug)]
struct Update {
    /// The positions of columns, with the expressions of their new values.
    columns: Vec<(usize, String)>,
    /// The position of the column whose incoming value has to be greater.
    newer: Option<usize>,
}

impl Update {
    fn new(update: &CheckedUpdate) -> Self {
        let expression = |column: &PlanColumn, value: NewValue| {
            let local = format!("t.{}", quote(&column.name));
            let incoming = format!("s.c{}", column.position);
            value_expression(value, &Dialect::Sqlite, &local, &incoming)
        };
        let columns = update.columns.iter();
        Self {
            columns: columns
                .map(|(column, value)| (column.position, expression(column, *value)))
                .collect(),
            newer: update.only_if_newer.as_ref().map(|column| column.position),
        }
    }
}

/// The key with the collations that the table compares it by, in the table's order; none if it is no key of the table.
fn key_columns(key: &[PlanColumn], local: &Table) -> Option<Vec<KeyColumn>> {
    let find = |name: &String| key.iter().find(|column| column.name == *name);
    let candidates = local
        .keys
        .iter()
        .filter(|own| own.columns.len() == key.len());
    let mut keys = candidates.filter_map(|own| {
        let columns = own.columns.iter().map(|(name, collation)| {
            Some(KeyColumn {
                position: find(name)?.position,
                collation: collation.clone(),
            })
        });
        columns.collect()
    });
    keys.next()
}

impl Merge {
    /// Checks that the rows and the plan fit the table. Fails with `Unsuitable` if they do not.
    pub fn new(
        incoming: &TableSchema,
        local: &Table,
        plan: &CheckedPlan,
    ) -> Result<Self, DatabaseError> {
        let unsuitable = |reason: String| DatabaseError::Unsuitable {
            table: local.schema.table.clone(),
            reason,
        };
        if incoming.columns.is_empty() {
            return Err(unsuitable("the incoming rows have no columns".to_owned()));
        }
        for column in &incoming.columns {
            match local
                .schema
                .columns
                .iter()
                .find(|local| local.name == column.name)
            {
                None => {
                    return Err(unsuitable(format!(
                        "it has no column {:?} in this database",
                        column.name
                    )));
                }
                Some(local) if local.generation == Generation::Computed => {
                    return Err(unsuitable(format!(
                        "column {:?} is computed in this database",
                        column.name
                    )));
                }
                Some(_) => {}
            }
        }
        let columns: Vec<_> = incoming
            .columns
            .iter()
            .map(|column| quote(&column.name))
            .collect();
        let mut merge = Self {
            table: format!("main.{}", quote(&local.schema.table)),
            inserted: (0..columns.len()).collect(),
            columns,
            key: Vec::new(),
            numbered: Vec::new(),
            rowid: None,
            regenerates: false,
            update: None,
        };
        if let PlanAction::Renumber(key) = plan.action() {
            merge.regenerates = true;
            merge
                .inserted
                .retain(|index| key.iter().all(|column| column.position != *index));
            if merge.inserted.is_empty() {
                merge.numbered = key.iter().map(|column| quote(&column.name)).collect();
            }
        }
        let PlanAction::Merge { key, update } = plan.action() else {
            let brings_rowid = merge.inserted.iter().any(|index| {
                let name = incoming.columns.get(*index).map(|column| &column.name);
                local
                    .storage
                    .iter()
                    .any(|column| column.rowid && Some(&column.name) == name)
            });
            merge.rowid = local.rowid().filter(|_| !brings_rowid);
            return Ok(merge);
        };
        merge.key = key_columns(key, local).ok_or_else(|| {
            let names: Vec<_> = key.iter().map(|column| column.name.as_str()).collect();
            unsuitable(format!(
                "{} is neither its primary key nor unique in this database",
                names.join(", ")
            ))
        })?;
        merge.update = update.as_ref().map(Update::new);
        Ok(merge)
    }

    /// Returns a name for the rowid that SQLite assigns to new rows; none if it does not.
    pub fn rowid(&self) -> Option<&'static str> {
        self.rowid
    }

    /// Returns true if rows get new keys.
    pub fn regenerates(&self) -> bool {
        self.regenerates
    }

    /// Returns true if rows are matched by a key.
    pub fn has_key(&self) -> bool {
        !self.key.is_empty()
    }

    /// Returns the positions of the key's columns.
    pub fn key_positions(&self) -> impl Iterator<Item = usize> {
        self.key.iter().map(|key| key.position)
    }

    /// Returns true if rows that exist may change.
    pub fn updates(&self) -> bool {
        self.update.is_some()
    }

    /// Returns the columns that an update changes: their positions, and the expressions of their new values.
    pub fn updated(&self) -> impl Iterator<Item = (usize, &str)> {
        let columns = self.update.iter().flat_map(|update| &update.columns);
        columns.map(|(index, expression)| (*index, expression.as_str()))
    }

    /// Inserts a row directly into the table. Parameters: its values.
    pub fn direct(&self) -> String {
        format!(
            "INSERT OR ABORT INTO {} ({}) VALUES ({})",
            self.table,
            self.columns.join(", "),
            vec!["?"; self.columns.len()].join(", ")
        )
    }

    /// Selects whether the table is empty.
    pub fn is_empty(&self) -> String {
        format!("SELECT NOT EXISTS (SELECT 1 FROM {})", self.table)
    }

    /// Updates the rows that exist with another image. Parameters: the range. None if no column ever changes.
    pub fn update(&self) -> Option<String> {
        let update = self.update.as_ref()?;
        let mut values = Vec::with_capacity(update.columns.len());
        for (index, expression) in &update.columns {
            values.push(format!("{} = {expression}", self.columns.get(*index)?));
        }
        let differences = self.differences(update)?;
        Some(format!(
            "UPDATE OR ABORT {} AS t SET {} FROM temp.tombolo_staging AS s \
             WHERE s.row BETWEEN ?1 AND ?2 AND {} AND ({differences})",
            self.table,
            values.join(", "),
            self.matches(),
        ))
    }

    /// The condition that a row differs from what the plan makes of it. None if no column ever changes.
    fn differences(&self, update: &Update) -> Option<String> {
        let mut differences = Vec::with_capacity(update.columns.len());
        for (index, expression) in &update.columns {
            let local = format!("t.{}", self.columns.get(*index)?);
            differences.push(differs(&local, expression));
        }
        (!differences.is_empty()).then(|| differences.join(" OR "))
    }

    /// Inserts all rows, or those that do not exist. Parameters: the range.
    pub fn insert(&self, only_new: bool) -> String {
        let mut names: Vec<&str> = self
            .inserted
            .iter()
            .filter_map(|index| self.columns.get(*index))
            .map(String::as_str)
            .collect();
        let mut values: Vec<_> = self
            .inserted
            .iter()
            .map(|index| format!("s.c{index}"))
            .collect();
        for name in &self.numbered {
            names.push(name);
            values.push("NULL".to_owned());
        }
        let condition = match only_new && self.has_key() {
            true => format!(
                " AND NOT EXISTS (SELECT 1 FROM {} AS t WHERE {})",
                self.table,
                self.matches()
            ),
            false => String::new(),
        };
        format!(
            "INSERT OR ABORT INTO {} ({}) SELECT {} FROM temp.tombolo_staging AS s \
             WHERE s.row BETWEEN ?1 AND ?2{condition} ORDER BY s.row",
            self.table,
            names.join(", "),
            values.join(", ")
        )
    }

    /// Returns the columns that new rows get values in: their quoted names, and their staged values.
    pub fn inserted(&self) -> impl Iterator<Item = (&str, String)> {
        self.inserted
            .iter()
            .filter_map(|index| Some((self.columns.get(*index)?.as_str(), format!("s.c{index}"))))
    }

    /// Returns the table's qualified name.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Creates the staging.
    pub fn create_staging(&self) -> String {
        format!(
            "CREATE TEMP TABLE tombolo_staging (row INTEGER PRIMARY KEY, cells, {})",
            self.staged("")
        )
    }

    /// Stages a row. Parameters: its number, its cells and its values.
    pub fn stage(&self) -> String {
        format!(
            "INSERT INTO temp.tombolo_staging (row, cells, {}) VALUES ({})",
            self.staged(""),
            vec!["?"; self.columns.len() + 2].join(", ")
        )
    }

    /// Replaces a staged row. Parameters: its cells, its values and its number.
    pub fn restage(&self) -> String {
        let values: Vec<_> = (0..self.columns.len())
            .map(|index| format!("c{index} = ?"))
            .collect();
        format!(
            "UPDATE temp.tombolo_staging SET cells = ?, {} WHERE row = ?",
            values.join(", ")
        )
    }

    /// Selects staged rows whose key was staged before; NULL is no key. Parameter: the most rows to return.
    pub fn repeated(&self) -> String {
        let key: Vec<_> = self
            .key
            .iter()
            .map(|key| format!("s.c{}{}", key.position, key.collate()))
            .collect();
        format!(
            "SELECT row FROM (SELECT s.row AS row, row_number() OVER (PARTITION BY {} ORDER BY s.row) AS nth \
             FROM temp.tombolo_staging AS s WHERE {}) WHERE nth > 1 ORDER BY row LIMIT ?",
            key.join(", "),
            self.given()
        )
    }

    /// Selects a staged row unless its row in the table keeps its values of these columns. Parameter: the number.
    pub fn changing(&self, columns: &[usize]) -> String {
        let same = columns.iter().filter_map(|index| {
            let local = format!("t.{}", self.columns.get(*index)?);
            let mut updated = self.updated();
            let (_, value) = updated.find(|(position, _)| position == index)?;
            Some(format!(" AND NOT ({})", differs(&local, value)))
        });
        let exists = match self.has_key() {
            true => format!(
                " AND NOT EXISTS (SELECT 1 FROM {} AS t WHERE {}{})",
                self.table,
                self.matches(),
                same.collect::<String>()
            ),
            false => String::new(),
        };
        format!("SELECT s.row FROM temp.tombolo_staging AS s WHERE s.row = ?{exists}")
    }

    /// Removes from the staging the rows that exist and do not change, whatever arrives. None if there are none.
    pub fn leave_existing(&self) -> Option<String> {
        let older = match &self.update {
            _ if !self.has_key() => return None,
            None => String::new(),
            Some(update) => format!(" AND ({}) IS NOT TRUE", self.newer(update)?),
        };
        Some(format!(
            "DELETE FROM temp.tombolo_staging AS s WHERE EXISTS (SELECT 1 FROM {} AS t WHERE {}{older})",
            self.table,
            self.matches()
        ))
    }

    /// The condition that a staged row is new. None if rows that exist may change in these columns.
    pub fn new_only(&self, columns: &[usize]) -> Option<String> {
        let update = self.update.as_ref()?;
        let changes = update
            .columns
            .iter()
            .any(|(index, _)| columns.contains(index));
        (!changes).then(|| {
            format!(
                "NOT EXISTS (SELECT 1 FROM {} AS t WHERE {})",
                self.table,
                self.matches()
            )
        })
    }

    /// Selects staged rows whose row in the table has no parent. Parameter: the most rows to return. None if the rows cannot be
    /// found.
    pub fn without_parent(
        &self,
        child: &[String],
        parent: &str,
        referenced: &[String],
    ) -> Option<String> {
        let child: Vec<String> = match self.has_key() {
            true => child
                .iter()
                .map(|name| format!("t.{}", quote(name)))
                .collect(),
            // New rows have their incoming values.
            false => child
                .iter()
                .map(|name| {
                    let name = quote(name);
                    let mut inserted = self.inserted();
                    let found = inserted.find(|(column, _)| column.eq_ignore_ascii_case(&name));
                    found.map(|(_, staged)| staged)
                })
                .collect::<Option<_>>()?,
        };
        let table = match self.has_key() {
            true => format!(" CROSS JOIN {} AS t ON {}", self.table, self.matches()),
            false => String::new(),
        };
        let given: Vec<_> = child
            .iter()
            .map(|value| format!("{value} IS NOT NULL"))
            .collect();
        let same: Vec<_> = referenced
            .iter()
            .zip(&child)
            .map(|(name, value)| format!("p.{} = {value}", quote(name)))
            .collect();
        Some(format!(
            "SELECT s.row FROM temp.tombolo_staging AS s{table} WHERE {} \
             AND NOT EXISTS (SELECT 1 FROM main.{} AS p WHERE {}) ORDER BY s.row LIMIT ?",
            given.join(" AND "),
            quote(parent),
            same.join(" AND ")
        ))
    }

    /// Selects staged rows that would change what rows of another table refer to. Parameter: the most rows to return. None if
    /// the plan changes no such column.
    pub fn abandons(
        &self,
        child: &str,
        referring: &[String],
        referenced: &[String],
    ) -> Option<String> {
        let update = self.update.as_ref()?;
        let is_referenced = |column: &String| {
            referenced
                .iter()
                .any(|name| quote(name).eq_ignore_ascii_case(column))
        };
        let changes: Vec<_> = update
            .columns
            .iter()
            .filter_map(|(index, value)| Some((self.columns.get(*index)?, value)))
            .filter(|(column, _)| is_referenced(column))
            .map(|(column, value)| format!("t.{column} IS NOT ({value})"))
            .collect();
        if changes.is_empty() || referring.len() != referenced.len() {
            return None;
        }
        let newer = self.newer(update).unwrap_or_else(|| "TRUE".to_owned());
        let refer: Vec<_> = referring
            .iter()
            .zip(referenced)
            .map(|(name, referenced)| format!("t.{} = c.{}", quote(referenced), quote(name)))
            .collect();
        Some(format!(
            "SELECT s.row FROM temp.tombolo_staging AS s CROSS JOIN {} AS t ON {} WHERE ({}) AND {newer} \
             AND EXISTS (SELECT 1 FROM main.{} AS c WHERE {}) ORDER BY s.row LIMIT ?",
            self.table,
            self.matches(),
            changes.join(" OR "),
            quote(child),
            refer.join(" AND ")
        ))
    }

    /// Counts the staged rows that differ from what the plan makes of them, or that are not in the table; NULL is no key.
    pub fn unstored(&self) -> String {
        let changing = self
            .update
            .as_ref()
            .and_then(|update| self.differences(update));
        let done = changing.map_or(String::new(), |changing| format!(" AND NOT ({changing})"));
        format!(
            "SELECT count(*) FROM temp.tombolo_staging AS s WHERE {} \
             AND NOT EXISTS (SELECT 1 FROM {} AS t WHERE {}{done})",
            self.given(),
            self.table,
            self.matches()
        )
    }

    /// Selects for each staged row with a key whether the table has it, its staged values without the key, and the table's
    /// values of the same columns. Returns the number of these columns too. None if the table's values need not equal the
    /// staged ones. `filled` is true if all rows were new.
    pub fn images(&self, filled: bool) -> Option<(String, usize)> {
        let others: Vec<_> = (0..self.columns.len())
            .filter(|index| self.key_positions().all(|key| key != *index))
            .collect();
        let taken = |index: &usize, update: &Update| {
            let staged = format!("s.c{index}");
            update
                .columns
                .iter()
                .any(|column| *column == (*index, staged.clone()))
        };
        let as_staged = match &self.update {
            // Rows that existed are not in the staging any more.
            None => true,
            Some(update) => filled || others.iter().all(|index| taken(index, update)),
        };
        if !as_staged {
            return None;
        }
        let staged = others.iter().map(|index| format!("s.c{index}"));
        let stored = others
            .iter()
            .filter_map(|index| Some(format!("t.{}", self.columns.get(*index)?)));
        let key = self.columns.get(self.key_positions().next()?)?;
        let columns: Vec<_> = std::iter::once(format!("t.{key} IS NOT NULL"))
            .chain(staged)
            .chain(stored)
            .collect();
        let sql = format!(
            "SELECT {} FROM temp.tombolo_staging AS s LEFT JOIN {} AS t ON {} WHERE {}",
            columns.join(", "),
            self.table,
            self.matches(),
            self.given()
        );
        Some((sql, others.len()))
    }

    /// Selects staged rows after a position that exist with another image: number, cells, staged values, local values.
    /// Parameters: the position, and the most rows to return.
    pub fn conflicts(&self) -> String {
        let local: Vec<_> = self
            .columns
            .iter()
            .map(|name| format!("t.{name}"))
            .collect();
        let differences = self.image_differs().unwrap_or_else(|| "FALSE".to_owned());
        format!(
            "SELECT s.row, s.cells, {}, {} FROM temp.tombolo_staging AS s CROSS JOIN {} AS t ON {} \
             WHERE s.row > ? AND ({differences}) ORDER BY s.row LIMIT ?",
            self.staged("s."),
            local.join(", "),
            self.table,
            self.matches()
        )
    }

    fn staged(&self, prefix: &str) -> String {
        let names: Vec<_> = (0..self.columns.len())
            .map(|index| format!("{prefix}c{index}"))
            .collect();
        names.join(", ")
    }

    /// The condition that columns other than the key differ. None if there are none.
    fn image_differs(&self) -> Option<String> {
        let differences: Vec<_> = self
            .columns
            .iter()
            .enumerate()
            .filter(|(index, _)| self.key_positions().all(|key| key != *index))
            .map(|(index, name)| differs(&format!("t.{name}"), &format!("s.c{index}")))
            .collect();
        (!differences.is_empty()).then(|| differences.join(" OR "))
    }

    /// The condition that a staged row has a key.
    fn given(&self) -> String {
        let given: Vec<_> = self
            .key_positions()
            .map(|index| format!("s.c{index} IS NOT NULL"))
            .collect();
        given.join(" AND ")
    }

    /// Returns the condition that a staged row `s` matches a row `t` of the table.
    pub fn matches(&self) -> String {
        let parts: Vec<_> = self
            .key
            .iter()
            .filter_map(|key| {
                let name = self.columns.get(key.position)?;
                Some(format!("t.{name} = s.c{}{}", key.position, key.collate()))
            })
            .collect();
        parts.join(" AND ")
    }

    /// The condition that the incoming row is newer. The local column is on the left: its collation applies.
    fn newer(&self, update: &Update) -> Option<String> {
        let index = update.newer?;
        Some(format!("t.{} < s.c{index}", self.columns.get(index)?))
    }
}

impl KeyColumn {
    /// The collation of the key, so that its index is used.
    fn collate(&self) -> String {
        self.collation
            .as_ref()
            .map(|name| format!(" COLLATE {}", quote(name)))
            .unwrap_or_default()
    }
}

/// Returns the condition that two values differ. `IS NOT` alone takes 1 for 1.0, and 'a' for 'A' if the column ignores case.
pub fn differs(local: &str, new: &str) -> String {
    format!("typeof({local}) <> typeof({new}) OR {local} COLLATE BINARY IS NOT ({new})")
}
