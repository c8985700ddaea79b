//! The SQL that moves unique values among the rows of a chunk: rows give theirs away before any row takes another's.

use super::merge_sql::{Merge, differs};
use crate::bindings::types::{Generation, TableSchema};
use crate::database::sqlite::catalog::Table;
use crate::database::sqlite::catalog::constraints::UniqueValues;
use crate::database::sqlite::codec::types::Affinity;

/// What rows hold between the two steps. The first that the table takes is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parking {
    /// NULL where it is allowed, else a value of the column's type that no other row has.
    Null,
    /// A value of the column's type that no other row has.
    OwnType,
    /// Bytes that no other row has.
    Bytes,
}

impl Parking {
    /// All of them, in the order in which they are tried.
    pub const ALL: [Self; 3] = [Self::Null, Self::OwnType, Self::Bytes];
}

/// How the unique values of one table move.
///
/// `p` is the temporary table of the parked rows. Its columns are `row` (the number in the staging), `o` with the position
/// of each parked column (its old value), and `n` with the position of each column of the update (its new value).
#[derive(Debug)]
pub struct MovedValues {
    table: String,
    matches: String,
    /// The columns that are parked.
    parked: Vec<ParkedColumn>,
    /// The positions, names and new values of all columns of the update.
    updated: Vec<(usize, String, String)>,
    /// The condition that the update changes what a unique index depends on.
    moves: String,
}

#[derive(Debug)]
struct ParkedColumn {
    position: usize,
    name: String,
    nullable: bool,
    affinity: Affinity,
}

impl MovedValues {
    /// Returns how the values of these unique indexes move; none if the plan updates nothing that they depend on.
    pub fn new(
        indexes: &[UniqueValues],
        local: &Table,
        incoming: &TableSchema,
        merge: &Merge,
    ) -> Option<Self> {
        let updated: Vec<(usize, &str)> = merge
            .updated()
            .filter_map(|(index, _)| Some((index, incoming.columns.get(index)?.name.as_str())))
            .collect();
        let (mut parked, mut watched) = (Vec::new(), Vec::new());
        for index in indexes {
            let (park, watch) = dependencies(index, local, &updated);
            parked.extend(park);
            watched.extend(watch);
        }
        for positions in [&mut parked, &mut watched] {
            positions.sort_unstable();
            positions.dedup();
        }
        let name = |position: usize| merge.columns.get(position).cloned();
        let updated: Vec<_> = merge
            .updated()
            .filter_map(|(index, value)| Some((index, name(index)?, value.to_owned())))
            .collect();
        let moves = updated.iter().filter(|(index, ..)| watched.contains(index));
        let moves: Vec<_> = moves
            .map(|(_, name, value)| differs(&format!("t.{name}"), value))
            .collect();
        let parked = parked.into_iter().filter_map(|position| {
            let wanted = &incoming.columns.get(position)?.name;
            let mut columns = local.schema.columns.iter().zip(&local.storage);
            let (column, storage) = columns.find(|(column, _)| column.name == *wanted)?;
            Some(ParkedColumn {
                position,
                name: name(position)?,
                nullable: column.nullable && !storage.rowid,
                affinity: storage.affinity,
            })
        });
        let parked: Vec<_> = parked.collect();
        (!parked.is_empty()).then(|| Self {
            table: merge.table().to_owned(),
            matches: merge.matches(),
            parked,
            updated,
            moves: moves.join(" OR "),
        })
    }

    /// Creates the table of the parked rows.
    pub fn create(&self) -> String {
        let old = self
            .parked
            .iter()
            .map(|column| format!("o{}", column.position));
        let new = self.updated.iter().map(|(index, ..)| format!("n{index}"));
        let columns: Vec<_> = old.chain(new).collect();
        format!(
            "CREATE TEMP TABLE tombolo_parked (row INTEGER PRIMARY KEY, {})",
            columns.join(", ")
        )
    }

    /// Drops the table of the parked rows.
    pub fn drop() -> &'static str {
        "DROP TABLE temp.tombolo_parked"
    }

    /// Notes the rows whose unique values change, with their old and new values.
    pub fn note(&self) -> String {
        let old = self
            .parked
            .iter()
            .map(|column| format!("t.{}", column.name));
        let new = self.updated.iter().map(|(_, _, value)| value.clone());
        let values: Vec<_> = old.chain(new).collect();
        format!(
            "INSERT INTO temp.tombolo_parked SELECT s.row, {} FROM temp.tombolo_staging AS s \
             CROSS JOIN {} AS t ON {} WHERE {}",
            values.join(", "),
            self.table,
            self.matches,
            self.moves
        )
    }

    /// Takes the unique values from the noted rows. `mark` tells this call's values from all others.
    pub fn park(&self, parking: Parking, mark: u64) -> String {
        let values = self.parked.iter().map(|column| {
            let value = match (parking, column.affinity) {
                (Parking::Null, _) if column.nullable => "NULL".to_owned(),
                (Parking::Bytes, _) | (_, Affinity::Blob) => {
                    format!("CAST('{mark:x}-' || p.row AS BLOB)")
                }
                (_, Affinity::Text) => format!("'{mark:x}-' || p.row"),
                // A double holds it too.
                _ => format!("-{} - p.row", (1u64 << 51) | (mark >> 14)),
            };
            format!("{} = {value}", column.name)
        });
        self.set(values.collect())
    }

    /// Gives the noted rows their new values. Parameters: the range.
    pub fn take(&self) -> String {
        let values = self.updated.iter();
        let values = values.map(|(index, name, _)| format!("{name} = p.n{index}"));
        self.set(values.collect()) + " AND s.row BETWEEN ?1 AND ?2"
    }

    /// Gives a noted row its old values back. Parameter: its number.
    pub fn restore(&self) -> String {
        let values = self.parked.iter();
        let values = values.map(|column| format!("{} = p.o{}", column.name, column.position));
        self.set(values.collect()) + " AND s.row = ?"
    }

    fn set(&self, values: Vec<String>) -> String {
        format!(
            "UPDATE OR ABORT {} AS t SET {} FROM temp.tombolo_parked AS p \
             CROSS JOIN temp.tombolo_staging AS s ON s.row = p.row WHERE {}",
            self.table,
            values.join(", "),
            self.matches
        )
    }
}

/// Returns the positions of the updated columns that take a row out of the way of others in a unique index, and of all on
/// which its place there depends.
fn dependencies(
    index: &UniqueValues,
    local: &Table,
    updated: &[(usize, &str)],
) -> (Vec<usize>, Vec<usize>) {
    let of = |wanted: &dyn Fn(&str) -> bool| -> Vec<usize> {
        let found = updated.iter().filter(|(_, name)| wanted(name));
        found.map(|(position, _)| *position).collect()
    };
    let plain = of(&|name| index.columns.iter().any(|column| column == name));
    let is_computed = |name: &String| {
        let mut columns = local.schema.columns.iter();
        columns.any(|column| column.name == *name && column.generation == Generation::Computed)
    };
    // What a generated column depends on is not known: it may be any other.
    if index.columns.iter().any(is_computed) {
        let all = of(&|_| true);
        return (if plain.is_empty() { all.clone() } else { plain }, all);
    }
    let named = match &index.depends {
        Some(sql) => of(&|name| names(sql, name)),
        None => Vec::new(),
    };
    let watched = plain.iter().chain(&named).copied().collect();
    (if plain.is_empty() { named } else { plain }, watched)
}

/// Whether a statement may name a column.
fn names(sql: &str, column: &str) -> bool {
    sql.to_lowercase().contains(&column.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn columns_are_found_in_statements() {
        let sql = "CREATE UNIQUE INDEX i ON t (lower(\"Na me\")) WHERE gone = 0";
        assert!(names(sql, "na ME") && names(sql, "gone"));
        assert!(!names(sql, "position"));
    }
}
