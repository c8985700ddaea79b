//! What one plan may take: bytes, tables and views, and requests. Everything that a peer sends is counted before it is
//! kept.

use serde::{Deserialize, Serialize};

use crate::bindings::transfers::TableInstruction;
use crate::bindings::types::Failure;
use crate::error::{ErrorCode, failure};
use crate::wire::{MAX_TABLES, SharedTable, weight, weight_of_facts};

/// The most bytes of one plan: all answers of the peer, what their tables take in memory beside their texts, and the
/// statements that they lead to.
const MAX_BYTES: u64 = 64 << 20;

/// The most bytes of the instructions of one plan, as the host counts them: it takes 8 MiB in one call of the engine.
const MAX_INSTRUCTIONS: u64 = (8 << 20) - (64 << 10);

/// What a table, a column and a text or list of an instruction take in the host beside their [`weight`].
const INSTRUCTION: usize = 300;
const COLUMN: usize = 64;
const PART: usize = 24;

/// The most requests of one plan: the claim, and one for each table or for each page of at least one table.
const MAX_REQUESTS: u32 = MAX_TABLES + 10;

/// What a text takes in memory beside its bytes.
const TEXT: usize = 32;

/// What a plan has taken so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    bytes: u64,
    instructions: u64,
    tables: u32,
    requests: u32,
}

impl Spent {
    /// Counts a request that is about to be sent. Fails with `limit` after too many.
    pub fn request(&mut self) -> Result<(), Failure> {
        self.requests = self.requests.saturating_add(1);
        if self.requests <= MAX_REQUESTS {
            return Ok(());
        }
        Err(failure(
            ErrorCode::Limit,
            format!(
                "the other site needs more than {MAX_REQUESTS} requests to describe its tables"
            ),
            "name the tables to pull; an honest site describes them with fewer",
        ))
    }

    /// Counts an answer before it is parsed. Fails with `limit` if the plan would become too large.
    pub fn answer(&mut self, body: &[u8]) -> Result<(), Failure> {
        self.add(body.len())
    }

    /// Counts a table or a view that the peer listed or described. Fails with `limit` after too many, or if the plan would
    /// become too large.
    pub fn table(&mut self, shared: &SharedTable) -> Result<(), Failure> {
        self.tables = self.tables.saturating_add(1);
        if self.tables > MAX_TABLES {
            return Err(failure(
                ErrorCode::Limit,
                format!("the other site shares more than {MAX_TABLES} tables and views"),
                "name the tables to pull",
            ));
        }
        let schema = shared.schema.as_ref();
        self.add(schema.map_or(0, weight))?;
        self.add(shared.facts.as_ref().map_or(0, weight_of_facts))
    }

    /// Counts the statements and phrases that a table leads to. Fails with `limit` if the plan would become too large.
    pub fn planned(
        &mut self,
        instruction: &TableInstruction,
        not_carried: &[String],
    ) -> Result<(), Failure> {
        let statements = instruction.before.iter().chain(&instruction.after);
        let texts = statements
            .map(|statement| statement.sql.len().saturating_add(statement.object.len()))
            .chain(not_carried.iter().map(String::len));
        self.add(texts.map(|length| length.saturating_add(TEXT)).sum())?;
        let size = size(instruction) as u64;
        self.instructions = self.instructions.saturating_add(size);
        if self.instructions <= MAX_INSTRUCTIONS {
            return Ok(());
        }
        Err(failure(
            ErrorCode::Limit,
            "the other site's tables have too many columns and keys for one pull",
            "name some of the tables, pull them, and then the others; nothing was written",
        ))
    }

    fn add(&mut self, bytes: usize) -> Result<(), Failure> {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if self.bytes <= MAX_BYTES {
            return Ok(());
        }
        Err(failure(
            ErrorCode::Limit,
            format!(
                "the other site's description of its tables and views takes more than the {} MiB of one plan",
                MAX_BYTES >> 20
            ),
            "name some of the tables to pull; nothing was written",
        ))
    }
}

/// Returns at least how many bytes an instruction takes in the host.
fn size(instruction: &TableInstruction) -> usize {
    let schema = &instruction.incoming;
    let lists = [&schema.primary_key].into_iter().chain(&schema.unique_keys);
    let lists = lists
        .chain(schema.foreign_keys.iter().map(|key| &key.columns))
        .chain(
            schema
                .foreign_keys
                .iter()
                .map(|key| &key.referenced_columns),
        )
        .chain(schema.enums.iter().map(|kind| &kind.labels));
    let parts = lists.map(|list| list.len().saturating_add(1));
    let parts = parts
        .chain([instruction.conversions.len(), schema.foreign_keys.len()])
        .fold(0, usize::saturating_add);
    let columns = schema.columns.len().saturating_mul(COLUMN);
    let statements = instruction.before.iter().chain(&instruction.after);
    let statements = statements.map(|statement| {
        let texts = statement.sql.len().saturating_add(statement.object.len());
        texts.saturating_add(72)
    });
    statements
        .chain([weight(schema), columns, parts.saturating_mul(PART)])
        .fold(INSTRUCTION, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn view() -> SharedTable {
        SharedTable {
            table: "v".to_owned(),
            kind: "view".to_owned(),
            rows: 0,
            exact: false,
            schema: None,
            facts: None,
            unfinished: false,
        }
    }

    #[test]
    fn bytes_of_all_answers_are_counted() {
        let mut spent = Spent::default();
        let answer = vec![0; 8 << 20];
        for _ in 0..8 {
            spent.answer(&answer).unwrap();
        }
        let refused = spent.answer(&answer).unwrap_err();
        assert_eq!(refused.code, "limit");
        assert!(refused.message.contains("64 MiB"), "{refused:?}");
    }

    #[test]
    fn views_are_counted_as_tables_are() {
        let mut spent = Spent::default();
        for _ in 0..MAX_TABLES {
            spent.table(&view()).unwrap();
        }
        assert_eq!(spent.table(&view()).unwrap_err().code, "limit");
    }

    #[test]
    fn requests_are_counted() {
        let mut spent = Spent::default();
        for _ in 0..MAX_REQUESTS {
            spent.request().unwrap();
        }
        assert_eq!(spent.request().unwrap_err().code, "limit");
    }
}
