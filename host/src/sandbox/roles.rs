//! The roles as typed calls: what the host asks components, and the one component that asks back.

use wasmtime::Store;
use wasmtime::component::{InstancePre, Linker};

use super::call::Calls;
use super::component::{Plugin, Role};
use super::engine::{Inner, Sandbox};
use super::error::{LoadError, SandboxError};
use super::store::{HostOf, StoreState, link_std};
use crate::bindings::conflicts::{Conflict, Decision, StrategyInfo, StrategyPlan};
use crate::bindings::types::{DdlPlan, Dialect, Error, SessionFacts, TableSchema, Verdict};
use crate::bindings::{
    ConflictStrategyPre, Engine, EngineHost, EnginePre, SchemaDdlPre, SessionRulesPre,
};

/// Rules have no host side: no authority at all.
type NoHost = ();

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
    pub async fn new_code(&self, entropy: &[u8]) -> Result<Result<String, Error>, SandboxError> {
        self.calls("sessions.new-code")
            .run((), async |store| {
                let rules = self.pre.instantiate_async(&mut *store).await?;
                rules
                    .tombolo_sync_sessions()
                    .call_new_code(store, entropy)
                    .await
            })
            .await
    }

    /// The form in which a typed code is looked up.
    pub async fn normalize(&self, code: &str) -> Result<Result<String, Error>, SandboxError> {
        self.calls("sessions.normalize")
            .run((), async |store| {
                let rules = self.pre.instantiate_async(&mut *store).await?;
                rules
                    .tombolo_sync_sessions()
                    .call_normalize(store, code)
                    .await
            })
            .await
    }

    /// Decides on one claim.
    pub async fn decide(
        &self,
        facts: SessionFacts,
    ) -> Result<Result<Verdict, Error>, SandboxError> {
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
        rules_calls(&self.sandbox, &self.plugin, function)
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
        self.calls("conflicts.strategies")
            .run((), async |store| {
                let rules = self.pre.instantiate_async(&mut *store).await?;
                rules.tombolo_sync_conflicts().call_strategies(store).await
            })
            .await
    }

    /// How a strategy takes rows into one table.
    pub async fn plan(
        &self,
        strategy: &str,
        params: &[(String, String)],
        incoming: &TableSchema,
        local: &TableSchema,
    ) -> Result<Result<StrategyPlan, Error>, SandboxError> {
        self.calls("conflicts.plan")
            .run((), async |store| {
                let rules = self.pre.instantiate_async(&mut *store).await?;
                rules
                    .tombolo_sync_conflicts()
                    .call_plan(store, strategy, params, incoming, local)
                    .await
            })
            .await
    }

    /// Decides on a page of conflicting rows.
    pub async fn decide(
        &self,
        strategy: &str,
        params: &[(String, String)],
        incoming: &TableSchema,
        conflicts: &[Conflict],
    ) -> Result<Result<Vec<Decision>, Error>, SandboxError> {
        self.calls("conflicts.decide")
            .run((), async |store| {
                let rules = self.pre.instantiate_async(&mut *store).await?;
                rules
                    .tombolo_sync_conflicts()
                    .call_decide(store, strategy, params, incoming, conflicts)
                    .await
            })
            .await
    }

    fn calls(&self, function: &'static str) -> Calls<'_> {
        rules_calls(&self.sandbox, &self.plugin, function)
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
        types: &[String],
        widen: &[String],
    ) -> Result<Result<DdlPlan, Error>, SandboxError> {
        rules_calls(&self.sandbox, &self.plugin, "ddl.create-table")
            .run((), async |store| {
                let rules = self.pre.instantiate_async(&mut *store).await?;
                rules
                    .tombolo_sync_ddl()
                    .call_create_table(store, dialect, incoming, types, widen)
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
            .and_then(|()| {
                Engine::add_to_linker::<_, HostOf<H>>(&mut linker, |state| &mut state.host)
            })
            .and_then(|()| linker.instantiate_pre(plugin.component()))
            .and_then(EnginePre::new);
        Ok(Self {
            sandbox: sandbox.clone(),
            plugin: plugin.clone(),
            pre: linked.map_err(|error| unlinked(plugin, &error))?,
        })
    }

    /// Runs one call of the engine on somebody's behalf.
    pub async fn call<T>(
        &self,
        function: &'static str,
        host: H,
        call: impl AsyncFnOnce(&Engine, &mut Store<StoreState<H>>) -> wasmtime::Result<T>,
    ) -> Result<T, SandboxError> {
        let calls = Calls {
            sandbox: &self.sandbox,
            plugin: &self.plugin,
            slots: |inner: &Inner| &inner.engine_calls,
            function,
        };
        calls
            .run(host, async |store| {
                let engine = self.pre.instantiate_async(&mut *store).await?;
                call(&engine, store).await
            })
            .await
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

fn rules_calls<'a>(sandbox: &'a Sandbox, plugin: &'a Plugin, function: &'static str) -> Calls<'a> {
    Calls {
        sandbox,
        plugin,
        slots: |inner: &Inner| &inner.rules_calls,
        function,
    }
}

fn unlinked(plugin: &Plugin, error: &wasmtime::Error) -> LoadError {
    let reason = crate::printable::printable(&format!("{error:#}"));
    LoadError::of(plugin, format!("it does not fit this host: {reason}"))
}
