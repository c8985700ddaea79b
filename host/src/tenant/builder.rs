//! Puts a tenant together: loads its components and starts what works for it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::Tenant;
use super::engine::Engine;
use super::events::{EventQueues, deliver_all};
use super::housekeeping::keep_house;
use super::runs::Runs;
use crate::bindings::types::Failure;
use crate::capability::Rules;
use crate::egress::{Egress, EgressGrant};
use crate::resources::{self, GrantedDatabase, Resources, Snapshots};
use crate::sandbox::{
    ConflictStrategies, EngineComponent, Plugin, Role, Sandbox, SchemaDdl, SessionRules,
};
use crate::state::State;

/// Puts a tenant together.
pub struct TenantBuilder {
    sandbox: Sandbox,
    databases: BTreeMap<String, GrantedDatabase>,
    peers: Vec<EgressGrant>,
    plugins: Vec<(Role, Plugin)>,
    state_file: Option<PathBuf>,
    snapshot_limit: Duration,
}

impl TenantBuilder {
    pub(super) fn new(sandbox: Sandbox) -> Self {
        Self {
            sandbox,
            databases: BTreeMap::new(),
            peers: Vec::new(),
            plugins: Vec::new(),
            state_file: None,
            snapshot_limit: resources::MAX_AGE,
        }
    }

    /// Grants a database under a label.
    #[must_use]
    pub fn database(mut self, label: &str, database: GrantedDatabase) -> Self {
        self.databases.insert(label.to_owned(), database);
        self
    }

    /// Grants a peer.
    #[must_use]
    pub fn peer(mut self, grant: EgressGrant) -> Self {
        self.peers.push(grant);
        self
    }

    /// Lets a component fill a role instead of the standard one.
    #[must_use]
    pub fn plugin(mut self, role: Role, plugin: Plugin) -> Self {
        self.plugins.push((role, plugin));
        self
    }

    /// Keeps what is durable in this file, instead of losing it with the process.
    #[must_use]
    pub fn state_file(mut self, file: PathBuf) -> Self {
        self.state_file = Some(file);
        self
    }

    /// How long a snapshot may be held for a peer's run.
    #[must_use]
    pub fn snapshot_limit(mut self, limit: Duration) -> Self {
        self.snapshot_limit = limit;
        self
    }

    /// Loads the components and starts the tenant.
    pub async fn open(self) -> Result<Arc<Tenant>, Failure> {
        let sandbox = &self.sandbox;
        let engine = match self.filling(Role::Engine) {
            Some(plugin) => plugin,
            None => sandbox.standard_engine().await?,
        };
        let rules = sandbox.standard_rules().await?;
        let sessions = self
            .filling(Role::Sessions)
            .unwrap_or_else(|| rules.clone());
        let ddl = self.filling(Role::Ddl).unwrap_or_else(|| rules.clone());
        // A replaced role is asked first; names it does not know are looked up in the standard rules.
        let conflicts = self
            .filling(Role::Conflicts)
            .into_iter()
            .chain([rules])
            .map(|plugin| ConflictStrategies::new(sandbox, &plugin))
            .collect::<Result<_, _>>()?;
        let state = State::open(self.state_file.as_deref()).await?;
        let component = EngineComponent::new(sandbox, &engine)?;
        let rules = Arc::new(Rules {
            sessions: SessionRules::new(sandbox, &sessions)?,
            ddl: SchemaDdl::new(sandbox, &ddl)?,
        });
        let resources = Arc::new(Resources::new(
            self.databases,
            state,
            Egress::new(self.peers),
            Snapshots::new(self.snapshot_limit),
        ));
        let (events, ready) = EventQueues::new();
        let runs = Arc::new(Runs::new(
            Arc::clone(&resources),
            conflicts,
            Arc::clone(&events),
        ));
        let engine = Arc::new(Engine::new(
            component,
            Arc::clone(&resources),
            rules,
            Arc::clone(&runs),
        ));
        let mut tasks = JoinSet::new();
        let delivery = (
            Arc::clone(&engine),
            Arc::clone(&resources),
            Arc::clone(&runs),
        );
        tasks.spawn(deliver_all(Arc::clone(&events), ready, move |event| {
            let (engine, resources, runs) = delivery.clone();
            super::deliver(engine, resources, runs, event)
        }));
        tasks.spawn(keep_house(Arc::clone(&resources), Arc::clone(&events)));
        Ok(Arc::new(Tenant {
            sandbox: self.sandbox,
            resources,
            engine,
            runs,
            events,
            _tasks: tasks,
        }))
    }

    fn filling(&self, role: Role) -> Option<Plugin> {
        self.plugins
            .iter()
            .rev()
            .find(|(filled, _)| *filled == role)
            .map(|(_, plugin)| plugin.clone())
    }
}
