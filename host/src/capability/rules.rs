//! Interfaces `sessions` and `ddl`: answered by the components that fill these roles.

use super::Capabilities;
use crate::bindings::Refusal;
use crate::bindings::types::{DdlPlan, Dialect, Error, SessionFacts, TableSchema, Verdict};
use crate::bindings::{ddl, sessions};
use crate::sandbox::SandboxError;

impl sessions::Host for Capabilities {
    async fn new_code(&mut self, entropy: Vec<u8>) -> Result<String, Refusal> {
        Ok(self.rules.sessions.new_code(&entropy).await??)
    }

    async fn normalize(&mut self, code: String) -> Result<String, Refusal> {
        Ok(self.rules.sessions.normalize(&code).await??)
    }

    async fn decide(&mut self, facts: SessionFacts) -> Result<Verdict, Refusal> {
        Ok(self.rules.sessions.decide(facts).await??)
    }
}

impl ddl::Host for Capabilities {
    async fn create_table(
        &mut self,
        dialect: Dialect,
        incoming: TableSchema,
        types: Vec<String>,
        widen: Vec<String>,
    ) -> Result<DdlPlan, Refusal> {
        Ok(self
            .rules
            .ddl
            .create_table(&dialect, &incoming, &types, &widen)
            .await??)
    }
}

/// The inner component failed; the outer one is told, and its store stays whole.
impl From<SandboxError> for Refusal {
    fn from(error: SandboxError) -> Self {
        Error::Other(error.to_string()).into()
    }
}
