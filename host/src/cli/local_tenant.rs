//! The one tenant of a command: its folders, its components, and how it introduces itself.

use std::path::PathBuf;
use std::sync::Arc;

use tombolo::bindings::types::Failure;
use tombolo::egress::EgressGrant;
use tombolo::failure::{ErrorCode, failure};
use tombolo::printable::printable;
use tombolo::private_files::{self, NotPrivate};
use tombolo::resources::GrantedDatabase;
use tombolo::sandbox::{Limits, Sandbox};
use tombolo::tenant::{Tenant, TenantBuilder};

use crate::cli::args::plugins::{self, PluginArgument};

/// The name of the one tenant.
pub const TENANT: &str = "local";

/// The label of its one database.
pub const DATABASE: &str = "main";

/// The environment variable with the folder for what outlives a process.
const FOLDER_VARIABLE: &str = "TOMBOLO_DATA";

/// The environment variable with the folder for compiled components.
const CACHE_VARIABLE: &str = "TOMBOLO_CACHE";

/// The folder of compiled components in that folder: one of our own, whatever else is there.
const COMPONENTS: &str = "components";

/// Opens the tenant with its database, the peer that it may reach, and its plugins.
pub async fn open(
    database: GrantedDatabase,
    peer: Option<EgressGrant>,
    plugins: &[PluginArgument],
) -> Result<Arc<Tenant>, Failure> {
    builder(database, peer, plugins).await?.open().await
}

/// Prepares the tenant, so that the caller can set more.
pub async fn builder(
    database: GrantedDatabase,
    peer: Option<EgressGrant>,
    plugins: &[PluginArgument],
) -> Result<TenantBuilder, Failure> {
    // A target that a pull creates exists already: it is the user's, and has the mode that the user's umask gave it.
    private_files::restrict_new_files();
    let limits = Limits::default();
    let sandbox = match cache_folder() {
        Some(folder) => Sandbox::with_cache(limits.clone(), &folder)?,
        None => Sandbox::new(limits.clone())?,
    };
    // First, so that an invalid plugin is reported before anything is created.
    let plugins = plugins::load(&sandbox, &limits, plugins).await?;
    let mut builder = Tenant::builder(sandbox)
        .database(DATABASE, database)
        .state_file(state_file()?);
    if let Some(peer) = peer {
        builder = builder.peer(peer);
    }
    for (role, plugin) in plugins {
        builder = builder.plugin(role, plugin);
    }
    Ok(builder)
}

/// Returns how this site introduces itself to the other one: `ana@laptop`, as far as it is known.
pub fn who() -> String {
    let variable = |names: [&str; 2]| {
        let mut found = names
            .into_iter()
            .filter_map(|name| std::env::var(name).ok());
        found.find(|value| !value.is_empty())
    };
    introduce(variable(["USER", "USERNAME"]), machine_name())
}

/// Returns the name of this machine; `localhost` if it is not known.
pub fn machine() -> String {
    let name = machine_name().filter(|name| !name.is_empty());
    name.unwrap_or_else(|| "localhost".to_owned())
}

fn machine_name() -> Option<String> {
    let set = ["HOSTNAME", "COMPUTERNAME"].into_iter();
    let mut set = set.filter_map(|name| std::env::var(name).ok());
    set.find(|name| !name.is_empty()).or_else(|| {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
        Some(name.trim().to_owned())
    })
}

fn introduce(user: Option<String>, host: Option<String>) -> String {
    let name = match (user, host) {
        (Some(user), Some(host)) => format!("{user}@{host}"),
        (Some(name), None) | (None, Some(name)) => name,
        (None, None) => "tombolo".to_owned(),
    };
    // The other site accepts 200 bytes.
    printable(&name).chars().take(50).collect()
}

/// Returns the file of the durable state, and creates its folder. Fails with `internal` if that is impossible, and if other
/// users can change what is in the folder: they would learn the secrets of claims, or choose them.
fn state_file() -> Result<PathBuf, Failure> {
    let hint = format!("set {FOLDER_VARIABLE} to a writable folder");
    let folder = match std::env::var_os(FOLDER_VARIABLE) {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder),
        _ => dirs::data_dir()
            .map(|folder| folder.join("tombolo"))
            .ok_or_else(|| {
                failure(
                    ErrorCode::Internal,
                    "this user has no folder for data",
                    &hint,
                )
            })?,
    };
    private_files::create_folder(&folder).map_err(|error| {
        let message = format!("cannot create the folder {}: {error}", folder.display());
        failure(ErrorCode::Internal, message, &hint)
    })?;
    let real = private_files::check(&folder).map_err(|reason| {
        let message = format!(
            "the folder {} is for secrets and cannot be used: {reason}",
            folder.display()
        );
        let hint = reason.hint(&folder, FOLDER_VARIABLE);
        failure(ErrorCode::Internal, message, hint)
    })?;
    Ok(real.join("state.sqlite"))
}

/// Returns the folder for compiled components, which are run without a further look; none if it cannot be used or other
/// users can change what is in it, and then every process compiles.
fn cache_folder() -> Option<PathBuf> {
    let folder = match std::env::var_os(CACHE_VARIABLE) {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder),
        _ => dirs::cache_dir()?.join("tombolo"),
    };
    let folder = folder.join(COMPONENTS);
    let created = private_files::create_folder(&folder).map_err(|error| NotPrivate::Io {
        path: folder.clone(),
        error,
    });
    let reason = match created.and_then(|()| private_files::check(&folder)) {
        Ok(real) => return Some(real),
        Err(reason) => reason,
    };
    let why = printable(&format!("compiled components are not cached: {reason}"));
    match reason {
        // As for a user without a folder of one's own: nothing is wrong.
        NotPrivate::Io { .. } => tracing::info!("{why}"),
        _ => {
            let hint = printable(&reason.hint(&folder, CACHE_VARIABLE));
            tracing::warn!("{why}; {hint}");
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn introduces_itself_with_what_is_known() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(introduce(text("ana"), text("laptop")), "ana@laptop");
        assert_eq!(introduce(None, text("laptop")), "laptop");
        assert_eq!(introduce(None, None), "tombolo");
        assert!(introduce(text(&"🏝".repeat(200)), None).len() <= 200);
    }
}
