//! What is fixed for a table while a writer writes it.

use futures::executor::block_on;
use sqlx::SqliteConnection;

use super::foreign_keys::{self, ForeignKeys};
use super::merge_sql::Merge;
use super::moved_values::MovedValues;
use crate::database::bookkeeping::{self, Bookkeeping, DirectFacts};
use crate::database::sqlite::catalog::{self, Table, constraints};
use crate::database::sqlite::codec::encode::RowLayout;
use crate::database::sqlite::raw::RawConnection;
use crate::database::{DatabaseError, LoadMode, RejectedParents, TableWrite};

/// The table's layout, statements and checks, and how rows get into it.
pub struct TablePlan {
    /// Converts rows.
    pub layout: RowLayout,
    /// The statements.
    pub merge: Merge,
    /// The checks of foreign keys.
    pub foreign_keys: ForeignKeys,
    /// How rows are updated whose unique values move among each other; none if no unique value changes.
    pub moves: Option<MovedValues>,
    /// The rejected rows that rows of the table may refer to.
    pub rejected_parents: RejectedParents,
    /// The names of the table's triggers.
    pub triggers: Vec<String>,
    /// How rows get into the table.
    pub mode: LoadMode,
    /// Whether only this run put rows into the table.
    pub alone: bool,
}

impl TablePlan {
    /// Checks that the rows and the plan fit the table, and decides how rows get into it. Fails with `Unsuitable` if they
    /// do not fit.
    pub fn new(
        connection: &mut SqliteConnection,
        database: &str,
        write: &TableWrite,
        local: &Table,
        books: &Bookkeeping,
    ) -> Result<Self, DatabaseError> {
        let merge = Merge::new(&write.incoming, local, &write.plan)?;
        let arriving: Vec<_> = write
            .incoming
            .columns
            .iter()
            .map(|column| column.name.clone())
            .collect();
        let foreign_keys = foreign_keys::checks(connection, database, local, &arriving, &merge);
        let foreign_keys = block_on(foreign_keys)?;
        let indexes = block_on(constraints::unique_indexes(connection, books.table()))?;
        let moves = MovedValues::new(&indexes, local, &write.incoming, &merge);
        let triggers = block_on(catalog::triggers(connection, books.table()))?;
        // Other programs may have written since the run's last chunk.
        let alone = books.is_filling() && {
            let locked = RawConnection::lock_blocking(connection)?;
            let rows = locked.integer(&format!("SELECT count(*) FROM {}", merge.table()), &[])?;
            u64::try_from(rows).is_ok_and(|rows| rows == books.row().counts.created)
        };
        let direct = bookkeeping::is_direct(&DirectFacts {
            mode: write.mode,
            retry: write.retry,
            is_only_writer: alone,
            has_triggers: !triggers.is_empty(),
            regenerates_key: merge.regenerates(),
            takes_cells: true,
        });
        Ok(Self {
            layout: RowLayout::new(write.incoming.clone(), local),
            merge,
            foreign_keys,
            moves,
            rejected_parents: write.rejected_parents.clone(),
            triggers,
            mode: match direct {
                true => LoadMode::Direct,
                false => LoadMode::Staged,
            },
            alone,
        })
    }
}
