use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;

use super::{GrantedDatabase, Tenant};
use crate::access::Access;
use crate::bindings::types::Failure;
use crate::egress::{Egress, EgressGrant};
use crate::run_events::RunEvents;
use crate::sandbox::{
    ConflictStrategies, EngineComponent, Plugin, Role, Sandbox, SchemaDdl, SessionRules,
};
use crate::snapshots::{self, Snapshots};
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
            snapshot_limit: snapshots::MAX_AGE,
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
        let engine = EngineComponent::new(sandbox, &engine)?;
        let sessions = SessionRules::new(sandbox, &sessions)?;
        let ddl = SchemaDdl::new(sandbox, &ddl)?;
        let (events, queue) = mpsc::unbounded_channel();
        let tenant = Arc::new_cyclic(|this| Tenant {
            databases: self.databases,
            state,
            access: Access::default(),
            egress: Egress::new(self.peers),
            run_events: RunEvents::default(),
            snapshots: Snapshots::new(self.snapshot_limit),
            jobs: Mutex::new(HashMap::new()),
            events,
            engine,
            sessions,
            conflicts,
            ddl,
            this: this.clone(),
        });
        tokio::spawn(Tenant::deliver_events(Arc::downgrade(&tenant), queue));
        tokio::spawn(Tenant::care(Arc::downgrade(&tenant)));
        Ok(tenant)
    }

    fn filling(&self, role: Role) -> Option<Plugin> {
        self.plugins
            .iter()
            .rev()
            .find(|(filled, _)| *filled == role)
            .map(|(_, plugin)| plugin.clone())
    }
}
