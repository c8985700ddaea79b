//! A host: one sandbox and its tenants by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::sandbox::Sandbox;
use crate::tenant::Tenant;

/// One sandbox with the tenants that share it.
pub struct Host {
    sandbox: Sandbox,
    tenants: BTreeMap<String, Arc<Tenant>>,
}

impl Host {
    /// A host without tenants.
    #[must_use]
    pub fn new(sandbox: Sandbox) -> Self {
        Self {
            sandbox,
            tenants: BTreeMap::new(),
        }
    }

    /// Adds a tenant; one of the same name is replaced.
    #[must_use]
    pub fn with_tenant(mut self, name: &str, tenant: Arc<Tenant>) -> Self {
        self.tenants.insert(name.to_owned(), tenant);
        self
    }

    /// Returns the sandbox that all tenants share.
    #[must_use]
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// Returns a tenant by its name.
    #[must_use]
    pub fn tenant(&self, name: &str) -> Option<&Arc<Tenant>> {
        self.tenants.get(name)
    }

    /// Returns the tenant whose base URL is the host's own: the only one.
    #[must_use]
    pub fn root_tenant(&self) -> Option<&Arc<Tenant>> {
        let mut tenants = self.tenants.values();
        tenants.next().filter(|_| tenants.next().is_none())
    }
}
