//! Interfaces `sessions` and `ddl`: answered by the components that fill these roles.

use std::sync::Arc;

use super::Capabilities;
use super::limits::{MAX_CODE_INPUT, MAX_NAME, check, check_length};
use crate::bindings::Refusal;
use crate::bindings::types::{
    CreateOptions, DdlPlan, Dialect, Error, SessionFacts, TableSchema, Verdict,
};
use crate::bindings::{ddl, sessions};
use crate::sandbox::{Answer, SandboxError};

/// The most types or columns that a question names.
const MAX_NAMES: usize = 10_000;

impl Capabilities {
    /// Lets the caller pay for the inner call: half of its fuel, so that the caller can still say which component has used
    /// up all of it.
    fn paid<T>(&mut self, answer: Answer<Result<T, Error>>) -> Result<T, Refusal> {
        self.owe(answer.fuel / 2);
        Ok(answer.outcome??)
    }
}

impl sessions::Host for Capabilities {
    async fn new_code(&mut self, entropy: Vec<u8>) -> Result<String, Refusal> {
        check_length("the entropy", entropy.len(), MAX_CODE_INPUT, "bytes")?;
        let rules = Arc::clone(&self.rules);
        self.paid(rules.sessions.new_code(&entropy).await)
    }

    async fn normalize(&mut self, code: String) -> Result<String, Refusal> {
        check("a code", &code, MAX_CODE_INPUT)?;
        let rules = Arc::clone(&self.rules);
        self.paid(rules.sessions.normalize(&code).await)
    }

    async fn decide(&mut self, facts: SessionFacts) -> Result<Verdict, Refusal> {
        let rules = Arc::clone(&self.rules);
        self.paid(rules.sessions.decide(facts).await)
    }
}

impl ddl::Host for Capabilities {
    async fn create_table(
        &mut self,
        dialect: Dialect,
        incoming: TableSchema,
        options: CreateOptions,
    ) -> Result<DdlPlan, Refusal> {
        let values = options.facts.values.len();
        check_length("a list of columns", values, MAX_NAMES, "elements")?;
        for names in [&options.types, &options.widen, &options.keep] {
            check_length("a list of names", names.len(), MAX_NAMES, "elements")?;
            for name in names {
                check("a name", name, MAX_NAME)?;
            }
        }
        let rules = Arc::clone(&self.rules);
        let planned = rules.ddl.create_table(&dialect, &incoming, &options).await;
        self.paid(planned)
    }
}

/// The inner component failed; the outer one is told, and its store stays whole.
impl From<SandboxError> for Refusal {
    fn from(error: SandboxError) -> Self {
        Error::Other(error.to_string()).into()
    }
}
