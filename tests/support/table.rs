//! The exact content of a table, compared row by row with code of the tests' own.

/// A table as its database stores it: its columns and the exact content of every cell.
#[derive(Debug)]
pub struct Table {
    name: String,
    columns: Vec<Vec<String>>,
    rows: Vec<Vec<Option<String>>>,
}

impl Table {
    pub fn new(name: &str, columns: Vec<Vec<String>>, mut rows: Vec<Vec<Option<String>>>) -> Self {
        rows.sort();
        Self {
            name: name.to_owned(),
            columns,
            rows,
        }
    }

    /// The rows, sorted by their cells.
    pub fn rows(&self) -> &[Vec<Option<String>>] {
        &self.rows
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Checks that columns and rows are the same, and shows the first difference.
    pub fn assert_same(&self, other: &Self) {
        assert_eq!(self.columns, other.columns, "columns of {}", self.name);
        assert_eq!(self.len(), other.len(), "rows of {}", self.name);
        for (number, (one, other)) in self.rows.iter().zip(&other.rows).enumerate() {
            assert_eq!(one, other, "row {number} of {}, sorted by cells", self.name);
        }
    }
}
