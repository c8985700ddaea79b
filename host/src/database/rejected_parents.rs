//! Which arriving rows refer to rows that the same run rejected: they would be attached to other rows, or to none.

use std::collections::HashSet;

use xxhash_rust::xxh3::xxh3_128;

use crate::bindings::types::{ForeignKey, TableSchema};
use crate::rows::CellRef;

/// The foreign keys of a table whose parents may be rejected.
#[derive(Clone, Debug, Default)]
pub struct RejectedParents {
    keys: Vec<ParentKey>,
}

/// One foreign key.
#[derive(Clone, Debug)]
pub struct ParentKey {
    parent: String,
    columns: Vec<String>,
    /// The positions of the cells that refer.
    child: Vec<usize>,
    /// The positions of the cells that are referred to, in the parent's rows.
    referenced: Vec<usize>,
    /// Whether the table refers to itself.
    own: bool,
    /// Digests of what the rejected rows are referred to by.
    rejected: HashSet<u128>,
}

/// A row that may be a parent or a child in its own table: its number, and digests for each foreign key of the table to
/// itself.
#[derive(Clone, Debug)]
pub struct Relative {
    number: u64,
    /// The key's number, what the row refers to, and what it is referred to by.
    links: Vec<(usize, Option<u128>, Option<u128>)>,
}

impl Relative {
    /// Returns the row's number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl ParentKey {
    /// Returns a foreign key of a table; none if not all its columns arrive, or if the parent's do not.
    #[must_use]
    pub fn new(table: &TableSchema, key: &ForeignKey, parent: &TableSchema) -> Option<Self> {
        let names = match key.referenced_columns.is_empty() {
            true => &parent.primary_key,
            false => &key.referenced_columns,
        };
        let child = positions(table, &key.columns)?;
        let referenced = positions(parent, names)?;
        (child.len() == referenced.len() && !child.is_empty()).then(|| Self {
            parent: parent.table.clone(),
            columns: key.columns.clone(),
            child,
            referenced,
            own: table.table == parent.table,
            rejected: HashSet::new(),
        })
    }

    /// Notes a rejected row of the parent.
    pub fn reject<'a>(&mut self, cells: impl IntoIterator<Item = CellRef<'a>>) {
        let cells: Vec<_> = cells.into_iter().collect();
        self.rejected.extend(digest(&cells, &self.referenced));
    }
}

impl RejectedParents {
    /// Adds a foreign key, unless the same is there already.
    pub fn add(&mut self, key: ParentKey) {
        let same = |known: &ParentKey| {
            known.parent == key.parent
                && known.child == key.child
                && known.referenced == key.referenced
        };
        if !self.keys.iter().any(same) {
            self.keys.push(key);
        }
    }

    /// Returns true if the table refers to itself.
    #[must_use]
    pub fn are_own(&self) -> bool {
        self.keys.iter().any(|key| key.own)
    }

    /// Returns true if no parent is rejected so far.
    #[must_use]
    pub fn are_none(&self) -> bool {
        self.keys.iter().all(|key| key.rejected.is_empty())
    }

    /// Returns the number of the first foreign key by which a row refers to a rejected row.
    pub fn find<'a>(&self, cells: impl IntoIterator<Item = CellRef<'a>>) -> Option<usize> {
        if self.are_none() {
            return None;
        }
        let cells: Vec<_> = cells.into_iter().collect();
        self.keys.iter().position(|key| {
            let digest = digest(&cells, &key.child);
            digest.is_some_and(|digest| key.rejected.contains(&digest))
        })
    }

    /// Returns why a row is rejected whose parent by a foreign key is.
    #[must_use]
    pub fn reason(&self, key: usize) -> String {
        self.keys.get(key).map_or_else(String::new, |key| {
            format!(
                "the row of table {:?} that {} refers to was rejected",
                key.parent,
                key.columns.join(", ")
            )
        })
    }

    /// Returns the positions of the cells that refer to a parent.
    #[must_use]
    pub fn child(&self, key: usize) -> &[usize] {
        self.keys.get(key).map_or(&[], |key| &key.child)
    }

    /// Returns a row as a parent and a child in its own table.
    pub fn relative<'a>(
        &self,
        number: u64,
        cells: impl IntoIterator<Item = CellRef<'a>>,
    ) -> Relative {
        let cells: Vec<_> = cells.into_iter().collect();
        let own = self.keys.iter().enumerate().filter(|(_, key)| key.own);
        let link = |(number, key): (usize, &ParentKey)| {
            let (child, referenced) = (digest(&cells, &key.child), digest(&cells, &key.referenced));
            (number, child, referenced)
        };
        Relative {
            number,
            links: own.map(link).collect(),
        }
    }
}

/// Returns those of `rows` that descend from rejected rows: the number of each, and of the foreign key by which it does.
#[must_use]
pub fn descendants(rejected: &[Relative], rows: &[Relative]) -> Vec<(u64, usize)> {
    let known: HashSet<u64> = rejected.iter().map(|row| row.number).collect();
    let referenced = |row: &Relative| -> Vec<(usize, u128)> {
        let links = row.links.iter();
        links
            .filter_map(|(key, _, own)| Some((*key, (*own)?)))
            .collect()
    };
    let mut parents: HashSet<(usize, u128)> = rejected.iter().flat_map(referenced).collect();
    let mut rest: Vec<&Relative> = rows
        .iter()
        .filter(|row| !known.contains(&row.number))
        .collect();
    let mut found = Vec::new();
    loop {
        let before = found.len();
        let mut next = HashSet::new();
        rest.retain(|row| {
            let link = row.links.iter().find(|(key, child, _)| {
                child.is_some_and(|child| parents.contains(&(*key, child)))
            });
            let Some((key, ..)) = link else { return true };
            found.push((row.number, *key));
            next.extend(referenced(row));
            false
        });
        if found.len() == before {
            return found;
        }
        parents = next;
    }
}

fn positions(table: &TableSchema, names: &[String]) -> Option<Vec<usize>> {
    let position = |name: &String| {
        let exact = table.columns.iter().position(|column| column.name == *name);
        let alike =
            |column: &crate::bindings::types::Column| column.name.eq_ignore_ascii_case(name);
        exact.or_else(|| table.columns.iter().position(alike))
    };
    names.iter().map(position).collect()
}

/// Returns a digest of some cells of a row; none if one of them is NULL, which refers to nothing. Numbers of several types
/// may be equal: an integer in one table, its digits in the other.
fn digest(cells: &[CellRef<'_>], positions: &[usize]) -> Option<u128> {
    let mut bytes = Vec::new();
    for position in positions {
        let (tag, text) = match cells.get(*position)? {
            CellRef::Null => return None,
            CellRef::Boolean(value) => (0, value.to_string().into_bytes()),
            CellRef::Integer(value) => (1, value.to_string().into_bytes()),
            CellRef::Real(value) => (1, value.to_string().into_bytes()),
            CellRef::Text(text)
                if text
                    .parse::<i64>()
                    .is_ok_and(|one| one.to_string() == *text) =>
            {
                (1, text.as_bytes().to_vec())
            }
            CellRef::Text(text) => (2, text.as_bytes().to_vec()),
            CellRef::Bytes(value) => (3, value.to_vec()),
        };
        bytes.push(tag);
        bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
        bytes.extend(text);
    }
    Some(xxh3_128(&bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::bindings::types::{Column, Generation, LogicalType};

    fn table(name: &str, columns: &[&str], key: &[&str]) -> TableSchema {
        let columns = columns.iter().map(|name| Column {
            name: (*name).to_owned(),
            logical: LogicalType::Integer,
            origin: String::new(),
            nullable: true,
            default: None,
            generation: Generation::None,
        });
        TableSchema {
            table: name.to_owned(),
            columns: columns.collect(),
            primary_key: key.iter().map(|name| (*name).to_owned()).collect(),
            unique_keys: Vec::new(),
            foreign_keys: Vec::new(),
            enums: Vec::new(),
        }
    }

    fn reference(columns: &[&str], table: &str, referenced: &[&str]) -> ForeignKey {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        ForeignKey {
            columns: names(columns),
            referenced_table: table.to_owned(),
            referenced_columns: names(referenced),
        }
    }

    fn integers(values: &[i64]) -> Vec<CellRef<'static>> {
        values
            .iter()
            .map(|value| CellRef::Integer(*value))
            .collect()
    }

    #[test]
    fn children_of_rejected_rows_are_found_by_composite_keys() {
        let parent = table("p", &["a", "x", "b"], &["b", "a"]);
        let child = table("c", &["id", "pa", "pb"], &["id"]);
        let mut key = ParentKey::new(&child, &reference(&["pb", "pa"], "p", &[]), &parent).unwrap();
        key.reject(integers(&[1, 7, 2]));
        let mut parents = RejectedParents::default();
        parents.add(key);
        assert_eq!(parents.find(integers(&[9, 1, 2])), Some(0));
        assert_eq!(parents.find(integers(&[9, 2, 1])), None);
        let null = [CellRef::Integer(9), CellRef::Null, CellRef::Integer(2)];
        assert_eq!(parents.find(null), None);
        let text = [CellRef::Null, CellRef::Text("1"), CellRef::Real(2.0)];
        assert_eq!(parents.find(text), Some(0));
        assert!(parents.reason(0).contains("\"p\" that pb, pa"));
        assert!(!parents.are_own());
        let missing = reference(&["other"], "p", &[]);
        assert!(ParentKey::new(&child, &missing, &parent).is_none());
    }

    #[test]
    fn descendants_are_found_in_any_order() {
        let tree = table("t", &["id", "parent"], &["id"]);
        let mut parents = RejectedParents::default();
        let key = ParentKey::new(&tree, &reference(&["parent"], "t", &["id"]), &tree).unwrap();
        parents.add(key);
        let row = |number, cells: &[i64]| parents.relative(number, integers(cells));
        let rejected = [row(1, &[1, 0])];
        let rows = [
            row(1, &[1, 0]),
            row(2, &[5, 4]),
            row(3, &[4, 1]),
            row(4, &[9, 8]),
            row(5, &[8, 9]),
            row(6, &[6, 5]),
        ];
        let mut found = descendants(&rejected, &rows);
        found.sort_unstable();
        assert_eq!(found, [(2, 0), (3, 0), (6, 0)]);
    }
}
