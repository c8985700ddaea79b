//! The option `--plugin ROLE=FILE@sha256:HEX`: a component that replaces a standard one.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tombolo::bindings::types::Failure;
use tombolo::failure::{ErrorCode, failure};
use tombolo::sandbox::{Digest, Limits, Plugin, Role, Sandbox};

/// One `--plugin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginArgument {
    role: Role,
    file: PathBuf,
    digest: Digest,
}

impl FromStr for PluginArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').and_then(|(role, pinned)| {
            let (file, digest) = pinned.rsplit_once("@sha256:")?;
            (!file.is_empty()).then_some((role, file, digest))
        });
        let Some((role, file, digest)) = parts else {
            return Err(format!(
                "invalid plugin {text:?}: use ROLE=FILE@sha256:HEX; `sha256sum FILE` prints the digest"
            ));
        };
        Ok(Self {
            role: role.parse().map_err(|error| format!("{error}"))?,
            file: file.into(),
            digest: digest.parse().map_err(|error| format!("{error}"))?,
        })
    }
}

/// Fails if two plugins fill the same role.
pub fn check(plugins: &[PluginArgument]) -> Result<(), String> {
    for (position, plugin) in plugins.iter().enumerate() {
        if plugins
            .iter()
            .skip(position + 1)
            .any(|other| other.role == plugin.role)
        {
            return Err(format!("two plugins for the role {}: use one", plugin.role));
        }
    }
    Ok(())
}

/// Loads all plugins. Each file is read once, so that the bytes that are hashed are the bytes that are compiled.
///
/// Fails with `plugin` if a file cannot be read or is not a component, and with `plugin-digest` if it has another digest.
pub async fn load(
    sandbox: &Sandbox,
    limits: &Limits,
    plugins: &[PluginArgument],
) -> Result<Vec<(Role, Plugin)>, Failure> {
    let mut loaded = Vec::with_capacity(plugins.len());
    for PluginArgument { role, file, digest } in plugins {
        let bytes = read(file, limits.component_bytes)?;
        let name = file.display().to_string();
        let plugin = sandbox.load(&name, bytes, Some(*digest)).await?;
        loaded.push((*role, plugin));
    }
    Ok(loaded)
}

/// Reads a file of at most `limit` bytes. Fails with `plugin` if it cannot be read, or is larger.
fn read(file: &Path, limit: usize) -> Result<Vec<u8>, Failure> {
    let unreadable = |error: std::io::Error| {
        failure(
            ErrorCode::Plugin,
            format!("cannot read the plugin {}: {error}", file.display()),
            "check the file's name and permissions",
        )
    };
    let opened = File::open(file).map_err(unreadable)?;
    let size = opened.metadata().map_err(unreadable)?.len();
    let most = u64::try_from(limit).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    // What is no ordinary file has no size before it is read.
    let mut rest = opened.take(most.saturating_add(1));
    let read = match size > most {
        true => size,
        false => rest.read_to_end(&mut bytes).map_err(unreadable)? as u64,
    };
    if read > most {
        return Err(failure(
            ErrorCode::Plugin,
            format!(
                "the plugin {} has {read} bytes, and {most} are allowed",
                file.display()
            ),
            "build it with optimizations and without debug information: `opt-level = \"s\"`, `lto = true`, `strip = true`",
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn reads_role_file_and_digest() {
        let digest = "0f".repeat(32);
        let text = format!("sessions=odd=name@sha256:x.wasm@sha256:{digest}");
        let plugin: PluginArgument = text.parse().unwrap();
        assert_eq!(plugin.role, Role::Sessions);
        assert_eq!(plugin.file, Path::new("odd=name@sha256:x.wasm"));
        assert_eq!(plugin.digest.to_string(), digest);
    }

    #[test]
    fn says_what_is_wrong() {
        let digest = "0f".repeat(32);
        for (text, expected) in [
            ("sessions".to_owned(), "ROLE=FILE"),
            ("sessions=a.wasm".to_owned(), "ROLE=FILE"),
            (format!("sessions=@sha256:{digest}"), "ROLE=FILE"),
            (format!("cook=a.wasm@sha256:{digest}"), "cook"),
            ("sessions=a.wasm@sha256:12".to_owned(), "64 hexadecimal"),
            (
                format!("sessions=a.wasm@sha256:{}", "é".repeat(32)),
                "64 hexadecimal",
            ),
        ] {
            let error = text.parse::<PluginArgument>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [7; 100]).unwrap();
        assert_eq!(read(file.path(), 100).unwrap().len(), 100);
        let failure = read(file.path(), 10).unwrap_err();
        assert!(
            failure
                .message
                .contains("has 100 bytes, and 10 are allowed"),
            "{failure:?}"
        );
        let missing = read(&file.path().with_extension("none"), 10).unwrap_err();
        assert!(missing.message.contains("cannot read"), "{missing:?}");
    }
}
