//! The one tenant of a command: its folders, its components, and how it introduces itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tombolo::bindings::types::Failure;
use tombolo::egress::EgressGrant;
use tombolo::failure::{ErrorCode, failure};
use tombolo::printable::printable;
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
    let host = variable(["HOSTNAME", "COMPUTERNAME"]).or_else(|| {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
        Some(name.trim().to_owned())
    });
    introduce(variable(["USER", "USERNAME"]), host)
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

/// Returns the file of the durable state, and creates its folder. Fails with `internal` if that is impossible.
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
    make_private(&folder).map_err(|error| {
        let message = format!("cannot create the folder {}: {error}", folder.display());
        failure(ErrorCode::Internal, message, &hint)
    })?;
    Ok(folder.join("state.sqlite"))
}

/// Returns the folder for compiled components; none if it cannot be used, and then every process compiles.
fn cache_folder() -> Option<PathBuf> {
    let folder = match std::env::var_os(CACHE_VARIABLE) {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder),
        _ => dirs::cache_dir()?.join("tombolo"),
    };
    match make_private(&folder)
        .and_then(|()| folder.canonicalize())
        .and_then(only_ours)
    {
        Ok(folder) => Some(folder),
        Err(error) => {
            tracing::info!(%error, folder = %folder.display(), "compiled components are not cached");
            None
        }
    }
}

/// Fails if others can write to the folder, whose files are executed.
#[cfg(unix)]
fn only_ours(folder: PathBuf) -> std::io::Result<PathBuf> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = folder.metadata()?;
    let we = tempfile::tempfile()?.metadata()?.uid();
    if metadata.uid() == we && metadata.mode() & 0o022 == 0 {
        return Ok(folder);
    }
    Err(std::io::Error::other("other users can write to it"))
}

#[cfg(not(unix))]
fn only_ours(folder: PathBuf) -> std::io::Result<PathBuf> {
    Ok(folder)
}

/// Creates a folder that only its owner can read. A folder that exists stays as it is.
fn make_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
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

    #[cfg(unix)]
    #[test]
    fn the_folder_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("a/b");
        make_private(&folder).unwrap();
        make_private(&folder).unwrap();
        let mode = std::fs::metadata(&folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_others_can_write_to_is_not_run_from() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let set = |mode| {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(folder.path(), permissions).unwrap();
        };
        set(0o755);
        assert!(only_ours(folder.path().to_owned()).is_ok());
        for mode in [0o775, 0o757] {
            set(mode);
            assert!(only_ours(folder.path().to_owned()).is_err(), "{mode:o}");
        }
    }
}
