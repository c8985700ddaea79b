//! The sqlite side.

use async_trait::async_trait;

use super::*;

/// Placeholder.
pub struct SqliteDatabase;

impl SqliteDatabase {
    /// Opens it.
    pub async fn open(path: &std::path::Path, create: bool) -> Result<Self, DatabaseError> {
        todo!()
    }
}

#[async_trait]
impl Database for SqliteDatabase {
    fn dialect(&self) -> Dialect {
        todo!()
    }
    fn identity(&self) -> String {
        todo!()
    }
    async fn tables(&self) -> Result<Vec<TableSummary>, DatabaseError> {
        todo!()
    }
    async fn describe(&self, _table: &str) -> Result<TableSchema, DatabaseError> {
        todo!()
    }
    async fn count(&self, _table: &str) -> Result<RowCount, DatabaseError> {
        todo!()
    }
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, DatabaseError> {
        todo!()
    }
    async fn target(&self) -> Result<Box<dyn Target>, DatabaseError> {
        todo!()
    }
}
