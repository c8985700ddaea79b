//! One table of a run, with everything checked that can be checked before anything is written.

use super::conflicts::Resolver;
use super::context::RunContext;
use super::retry_context::RetryContext;
use super::{ddl, strategy};
use crate::bindings::transfers::{CopyInstruction, TableInstruction};
use crate::bindings::types::{Failure, ForeignKey, SetPlan, TableSchema};
use crate::database::{CheckedStatement, LoadMode, RejectedParents, TableWrite, without_computed};

/// A table that is ready to be written.
pub struct PreparedTable {
    /// How its rows are written, directly where that is possible.
    pub write: TableWrite,
    /// Who resolves conflicting rows first, if the strategy is row by row.
    pub resolver: Option<Resolver>,
    /// The strategy's rule for all rows, if it has one.
    pub rule: Option<SetPlan>,
    /// The statements that follow the data.
    pub after: Vec<CheckedStatement>,
    /// The foreign keys at the other site and here.
    pub foreign_keys: Vec<ForeignKey>,
    /// The tables that its rows may refer to.
    pub parents: Vec<String>,
    /// Whether all rows are committed together.
    pub one_chunk: bool,
    /// How many rows the peer has counted, if it did.
    pub rows: Option<u64>,
    /// Whether the run may look for differences instead of receiving all rows.
    differences: bool,
}

impl PreparedTable {
    /// Checks one table of an instruction against the target and the strategies. Nothing is written. `local` is the table
    /// in the target; none if it is created.
    pub async fn prepare(
        run: RunContext<'_>,
        instruction: &CopyInstruction,
        table: &TableInstruction,
        local: Option<TableSchema>,
    ) -> Result<Self, Failure> {
        let mut table = table.clone();
        table.incoming = without_computed(table.incoming);
        run.target.check_policies(&table.conversions).await?;
        let dialect = run.target.dialect();
        let check = |statements: &[_]| -> Result<Vec<CheckedStatement>, Failure> {
            Ok(statements
                .iter()
                .map(|one| ddl::check(&dialect, &table.incoming, one))
                .collect::<Result<_, _>>()?)
        };
        let before = check(&table.before)?;
        let after = check(&table.after)?;
        if local.is_some() {
            run.target.check_target(&table.incoming.table).await?;
        }
        let local = local.unwrap_or_else(|| table.incoming.clone());
        let strategy = strategy::resolve(run.strategies, &table, &local).await?;
        let keys = table
            .incoming
            .foreign_keys
            .iter()
            .chain(&local.foreign_keys);
        let foreign_keys: Vec<ForeignKey> = keys.cloned().collect();
        let parents = foreign_keys.iter();
        let parents = parents.map(|key| key.referenced_table.clone()).collect();
        let retry_context = RetryContext::of(&table).to_json()?;
        let row_by_row = strategy.resolver.is_some();
        Ok(Self {
            write: TableWrite {
                run: instruction.ledger.clone(),
                incoming: table.incoming,
                plan: strategy.plan,
                create: table.create.then_some(before),
                mode: if row_by_row {
                    LoadMode::Staged
                } else {
                    LoadMode::Direct
                },
                row_by_row,
                reject_limit: instruction.reject_limit.into(),
                retry_context,
                conversions: table.conversions,
                retry: false,
                rejected_parents: RejectedParents::default(),
            },
            resolver: strategy.resolver,
            rule: strategy.rule,
            after,
            foreign_keys,
            parents,
            one_chunk: table.one_chunk,
            rows: table.rows,
            differences: table.differences,
        })
    }

    /// Returns the table's name.
    pub fn name(&self) -> &str {
        &self.write.incoming.table
    }

    /// Whether a look for differences can save moving rows.
    pub fn compares(&self) -> bool {
        self.differences && self.is_keyed()
    }

    /// Whether rows are found again by their key.
    pub fn is_keyed(&self) -> bool {
        self.write.plan.is_merge() && !self.write.incoming.primary_key.is_empty()
    }
}
