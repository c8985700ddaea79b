//! The roles as typed calls: what the host asks components, and the one component that asks back.

use std::time::Duration;

use serde::Serialize;
use wasmtime::Store;
use wasmtime::component::{InstancePre, Linker};

use super::call::{Answer, Calls, Longest};
use super::component::{Plugin, Role};
use super::engine::{Inner, Sandbox};
use super::error::{Cause, LoadError, SandboxError};
use super::store::{HostOf, StoreState};
use super::wasi::link_std;
use crate::bindings::conflicts::{Conflict, Decision, StrategyInfo, StrategyPlan};
use crate::bindings::types::{
    CreateOptions, DdlPlan, Dialect, Error, SessionFacts, TableSchema, Verdict,
};
use crate::bindings::{
    ConflictStrategyPre, Engine, EngineHost, EnginePre, SchemaDdlPre, SessionRulesPre,
};

/// Rules have no host side: no authority at all.
type NoHost = ();

/// The longest code, in bytes.
const MAX_CODE: usize = 128;

/// The longest text of session rules, in bytes: a reason.
const SESSIONS: Longest = Longest {
    text: 1 << 10,
    list: 0,
};

/// The longest name or description of a strategy, in bytes, and the most strategies of a component.
const STRATEGIES: Longest = Longest {
    text: 1 << 10,
    list: 100,
};

/// The longest name of a column or reason in a plan, in bytes, and the most columns.
const PLAN: Longest = Longest {
    text: 1 << 10,
    list: 2_000,
};

/// The longest value of a row, in bytes: all that one call may pass. The most columns of a row, and decisions of a page.
const DECISIONS: Longest = Longest {
    text: 8 << 20,
    list: 2_000,
};

/// The longest statement, in bytes, and the most statements or phrases of a plan.
const DDL: Longest = Longest {
    text: 1 << 20,
    list: 10_000,
};

/// The longest document or text of the engine, in bytes, and the most elements of a list.
const ENGINE: Longest = Longest {
    text: 8 << 20,
    list: 100_000,
};

/// Whatever fills the role `sessions`.
#[derive(Clone)]
pub struct SessionRules {
    sandbox: Sandbox,
    plugin: Plugin,
    pre: SessionRulesPre<StoreState<NoHost>>,
}

impl SessionRules {
    /// Checks and links a component for the role.
    pub fn new(sandbox: &Sandbox, plugin: &Plugin) -> Result<Self, SandboxError> {
        let pre = link_rules(sandbox, plugin, Role::Sessions)?;
        Ok(Self {
            sandbox: sandbox.clone(),
            plugin: plugin.clone(),
            pre: SessionRulesPre::new(pre).map_err(|error| unlinked(plugin, &error))?,
        })
    }

    /// Makes a code from random bytes.
    pub async fn new_code(&self, entropy: &[u8]) -> Answer<Result<String, Error>> {
        let calls = self.calls("sessions.new-code");
        let answer = calls.run((), async |store| {
            let rules = self.pre.instantiate_async(&mut *store).await?;
            rules
                .tombolo_sync_sessions()
                .call_new_code(store, entropy)
                .await
        });
        short_code(&calls, answer.await)
    }

    /// The form in which a typed code is looked up.
    pub async fn normalize(&self, code: &str) -> Answer<Result<String, Error>> {
        let calls = self.calls("sessions.normalize");
        let answer = calls.run((), async |store| {
            let rules = self.pre.instantiate_async(&mut *store).await?;
            rules
                .tombolo_sync_sessions()
                .call_normalize(store, code)
                .await
        });
        short_code(&calls, answer.await)
    }

    /// Decides on one claim.
    pub async fn decide(&self, facts: SessionFacts) -> Answer<Result<Verdict, Error>> {
        self.calls("sessions.decide")
            .run((), async |store| {
                let rules = self.pre.instantiate_async(&mut *store).await?;
                rules
                    .tombolo_sync_sessions()
                    .call_decide(store, facts)
                    .await
            })
            .await
    }

    fn calls(&self, function: &'static str) -> Calls<'_> {
        rules_calls(&self.sandbox, &self.plugin, function, SESSIONS)
    }
}

/// A component of the role `conflicts`.
#[derive(Clone)]
pub struct ConflictStrategies {
    sandbox: Sandbox,
    plugin: Plugin,
    pre: ConflictStrategyPre<StoreState<NoHost>>,
}

impl ConflictStrategies {
    /// Checks and links a component for the role.
    pub fn new(sandbox: &Sandbox, plugin: &Plugin) -> Result<Self, SandboxError> {
        let pre = link_rules(sandbox, plugin, Role::Conflicts)?;
        Ok(Self {
            sandbox: sandbox.clone(),
            plugin: plugin.clone(),
            pre: ConflictStrategyPre::new(pre).map_err(|error| unlinked(plugin, &error))?,
        })
    }

    /// The component.
    #[must_use]
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// All strategies of the component.
    pub async fn strategies(&self) -> Result<Vec<StrategyInfo>, SandboxError> {
        self.calls("conflicts.strategies", STRATEGIES)
            .run((), async |store| {
                let rules = self.pre.instantiate_async(&mut *store).await?;
                rules.tombolo_sync_conflicts().call_strategies(store).await
            })
            .await
            .outcome
    }

    /// How a strategy takes rows into one table.
    pub async fn plan(
        &self,
        strategy: &str,
        params: &[(String, String)],
        incoming: &TableSchema,
        local: &TableSchema,
    ) -> Result<Result<StrategyPlan, Error>, SandboxError> {
        self.calls("conflicts.plan", PLAN)
            .run((), async |store| {
                let rules = self.pre.instantiate_async(&mut *store).await?;
                rules
                    .tombolo_sync_conflicts()
                    .call_plan(store, strategy, params, incoming, local)
                    .await
            })
            .await
            .outcome
    }

    /// Decides on a page of conflicting rows.
    pub async fn decide(
        &self,
        strategy: &str,
        params: &[(String, String)],
        incoming: &TableSchema,
        conflicts: &[Conflict],
    ) -> Result<Result<Vec<Decision>, Error>, SandboxError> {
        self.calls("conflicts.decide", DECISIONS)
            .run((), async |store| {
                let rules = self.pre.instantiate_async(&mut *store).await?;
                rules
                    .tombolo_sync_conflicts()
                    .call_decide(store, strategy, params, incoming, conflicts)
                    .await
            })
            .await
            .outcome
    }

    fn calls(&self, function: &'static str, longest: Longest) -> Calls<'_> {
        rules_calls(&self.sandbox, &self.plugin, function, longest)
    }
}

/// Whatever fills the role `ddl`.
#[derive(Clone)]
pub struct SchemaDdl {
    sandbox: Sandbox,
    plugin: Plugin,
    pre: SchemaDdlPre<StoreState<NoHost>>,
}

impl SchemaDdl {
    /// Checks and links a component for the role.
    pub fn new(sandbox: &Sandbox, plugin: &Plugin) -> Result<Self, SandboxError> {
        let pre = link_rules(sandbox, plugin, Role::Ddl)?;
        Ok(Self {
            sandbox: sandbox.clone(),
            plugin: plugin.clone(),
            pre: SchemaDdlPre::new(pre).map_err(|error| unlinked(plugin, &error))?,
        })
    }

    /// The statements that create a table.
    pub async fn create_table(
        &self,
        dialect: &Dialect,
        incoming: &TableSchema,
        options: &CreateOptions,
    ) -> Answer<Result<DdlPlan, Error>> {
        rules_calls(&self.sandbox, &self.plugin, "ddl.create-table", DDL)
            .run((), async |store| {
                let rules = self.pre.instantiate_async(&mut *store).await?;
                rules
                    .tombolo_sync_ddl()
                    .call_create_table(store, dialect, incoming, options)
                    .await
            })
            .await
    }
}

/// Whatever fills the role `engine`; a `H` answers its imports during one call.
pub struct EngineComponent<H: 'static> {
    sandbox: Sandbox,
    plugin: Plugin,
    pre: EnginePre<StoreState<H>>,
}

impl<H: EngineHost> EngineComponent<H> {
    /// Checks and links a component for the role.
    pub fn new(sandbox: &Sandbox, plugin: &Plugin) -> Result<Self, SandboxError> {
        plugin.check(Role::Engine)?;
        let mut linker = Linker::new(&sandbox.inner().engine);
        let linked = link_std(&mut linker)
            .and_then(|()| Engine::add_to_linker::<_, HostOf<H>>(&mut linker, StoreState::host))
            .and_then(|()| linker.instantiate_pre(plugin.component()))
            .and_then(EnginePre::new);
        Ok(Self {
            sandbox: sandbox.clone(),
            plugin: plugin.clone(),
            pre: linked.map_err(|error| unlinked(plugin, &error))?,
        })
    }

    /// Runs one call of the engine on somebody's behalf, who waits for a slot no longer than `patience`.
    pub async fn call<T: Serialize>(
        &self,
        function: &'static str,
        patience: Option<Duration>,
        host: H,
        call: impl AsyncFnOnce(&Engine, &mut Store<StoreState<H>>) -> wasmtime::Result<T>,
    ) -> Result<T, SandboxError> {
        let calls = Calls {
            sandbox: &self.sandbox,
            plugin: &self.plugin,
            slots: |inner: &Inner| &inner.engine_calls,
            function,
            longest: ENGINE,
            patience,
        };
        calls
            .run(host, async |store| {
                let engine = self.pre.instantiate_async(&mut *store).await?;
                call(&engine, store).await
            })
            .await
            .outcome
    }
}

fn link_rules(
    sandbox: &Sandbox,
    plugin: &Plugin,
    role: Role,
) -> Result<InstancePre<StoreState<NoHost>>, SandboxError> {
    plugin.check(role)?;
    let mut linker = Linker::new(&sandbox.inner().engine);
    link_std(&mut linker)
        .and_then(|()| linker.instantiate_pre(plugin.component()))
        .map_err(|error| unlinked(plugin, &error).into())
}

fn rules_calls<'a>(
    sandbox: &'a Sandbox,
    plugin: &'a Plugin,
    function: &'static str,
    longest: Longest,
) -> Calls<'a> {
    Calls {
        sandbox,
        plugin,
        slots: |inner: &Inner| &inner.rules_calls,
        function,
        longest,
        patience: None,
    }
}

/// A code is shorter than a reason: it is a key of the state.
fn short_code(
    calls: &Calls<'_>,
    answer: Answer<Result<String, Error>>,
) -> Answer<Result<String, Error>> {
    let outcome = answer.outcome.and_then(|code| match &code {
        Ok(text) if text.len() > MAX_CODE => {
            let reason = format!("a code of {} bytes, and {MAX_CODE} are allowed", text.len());
            Err(calls.failed(Cause::TooLong(reason), ""))
        }
        _ => Ok(code),
    });
    Answer { outcome, ..answer }
}

fn unlinked(plugin: &Plugin, error: &wasmtime::Error) -> LoadError {
    let reason = crate::printable::printable(&format!("{error:#}"));
    LoadError::of(plugin, format!("it does not fit this host: {reason}"))
}
