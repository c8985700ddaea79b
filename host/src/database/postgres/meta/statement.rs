//! Statements on one row of Tombolo's own tables, each value next to the name of its column.

use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{Arguments as _, AssertSqlSafe, Encode, Postgres, Type};

use crate::database::DatabaseError;
use crate::database::postgres::error;

/// A statement to run; fails with [`DatabaseError::Refused`] if a value cannot be sent.
type Built = Result<Query<'static, Postgres, PgArguments>, DatabaseError>;

/// A statement that is being put together.
pub(in crate::database::postgres) struct Statement {
    table: &'static str,
    /// Columns that get a value, with the numbers of their parameters.
    assigned: Vec<(&'static str, usize)>,
    /// Columns that must have a value.
    matched: Vec<(&'static str, usize)>,
    arguments: PgArguments,
    failed: Option<sqlx::error::BoxDynError>,
}

impl Statement {
    /// Begins a statement on a table.
    pub fn on(table: &'static str) -> Self {
        Self {
            table,
            assigned: Vec::new(),
            matched: Vec::new(),
            arguments: PgArguments::default(),
            failed: None,
        }
    }

    /// Gives a column a value.
    pub fn set<T>(mut self, column: &'static str, value: T) -> Self
    where
        T: for<'q> Encode<'q, Postgres> + Type<Postgres>,
    {
        let number = self.parameter(value);
        self.assigned.push((column, number));
        self
    }

    /// Only for rows that have this value in a column.
    pub fn matching<T>(mut self, column: &'static str, value: T) -> Self
    where
        T: for<'q> Encode<'q, Postgres> + Type<Postgres>,
    {
        let number = self.parameter(value);
        self.matched.push((column, number));
        self
    }

    fn parameter<T>(&mut self, value: T) -> usize
    where
        T: for<'q> Encode<'q, Postgres> + Type<Postgres>,
    {
        if let Err(error) = self.arguments.add(value) {
            self.failed = Some(error);
        }
        self.arguments.len()
    }

    /// Inserts the row, with `clause` at the end of the statement.
    pub fn insert(self, clause: &str) -> Built {
        let columns = list(&self.assigned, ", ", |(column, _)| format!("\"{column}\""));
        let values = list(&self.assigned, ", ", |(_, number)| format!("${number}"));
        let table = self.table;
        self.build(format!(
            "INSERT INTO {table} ({columns}) VALUES ({values}) {clause}"
        ))
    }

    /// Updates the rows that match; `more` are further assignments.
    pub fn update(self, more: &str) -> Built {
        let set = list(&self.assigned, ", ", equals);
        let (table, condition) = (self.table, self.condition());
        let comma = if more.is_empty() { "" } else { ", " };
        self.build(format!(
            "UPDATE {table} SET {set}{comma}{more} WHERE {condition}"
        ))
    }

    /// Deletes the rows that match.
    pub fn delete(self) -> Built {
        let (table, condition) = (self.table, self.condition());
        self.build(format!("DELETE FROM {table} WHERE {condition}"))
    }

    /// Selects columns of the rows that match.
    pub fn select(self, columns: &str) -> Built {
        let (table, condition) = (self.table, self.condition());
        self.build(format!("SELECT {columns} FROM {table} WHERE {condition}"))
    }

    fn condition(&self) -> String {
        list(&self.matched, " AND ", equals)
    }

    fn build(self, sql: String) -> Built {
        match self.failed {
            // As `query` does.
            None => Ok(sqlx::query_with(AssertSqlSafe(sql), self.arguments).persistent(false)),
            Some(error) => Err(error::at_work(&sqlx::Error::Encode(error))),
        }
    }
}

fn equals((column, number): &(&'static str, usize)) -> String {
    format!("\"{column}\" = ${number}")
}

fn list(
    columns: &[(&'static str, usize)],
    separator: &str,
    write: impl Fn(&(&'static str, usize)) -> String,
) -> String {
    let written: Vec<String> = columns.iter().map(write).collect();
    written.join(separator)
}
