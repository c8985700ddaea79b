//! The example plugins and the hostile plugin as WebAssembly files, built once per process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use sha2::{Digest as _, Sha256};

/// The file of a component.
#[derive(Clone, Debug)]
pub struct Guest {
    pub file: PathBuf,
    pub digest: String,
}

impl Guest {
    /// The value of `--plugin` that lets it fill a role.
    pub fn pinned(&self, role: &str) -> String {
        self.pinned_as(role, &self.digest)
    }

    /// The same with another digest.
    pub fn pinned_as(&self, role: &str, digest: &str) -> String {
        format!("{role}={}@sha256:{digest}", self.file.display())
    }
}

/// Session rules with codes of digits.
pub fn digit_codes() -> Guest {
    guest("digit_codes")
}

/// A row-by-row conflict strategy.
pub fn newest_wins() -> Guest {
    guest("newest_wins")
}

/// A component that misbehaves on request.
pub fn hostile() -> Guest {
    guest("hostile_guest")
}

/// An engine that misbehaves on request.
pub fn hostile_engine() -> Guest {
    guest("hostile_engine")
}

const PACKAGES: [&str; 4] = [
    "digit-codes",
    "newest-wins",
    "hostile-guest",
    "hostile-engine",
];

fn guest(name: &str) -> Guest {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let file = BUILT.get_or_init(build).join(format!("{name}.wasm"));
    let bytes = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let digest = sha256(&bytes);
    Guest { file, digest }
}

/// The SHA-256 digest of bytes in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Builds all of them into the target directory that the host's build script uses for the standard plugins.
fn build() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_tombolo"));
    let target = binary
        .parent()
        .and_then(Path::parent)
        .unwrap()
        .join("guest");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        // Settings of the host's build would change or break the guests.
        let foreign = text.starts_with("CARGO") && text != "CARGO_HOME"
            || text.starts_with("RUSTFLAGS")
            || text.starts_with("RUSTC")
            || text.starts_with("CFLAGS");
        if foreign {
            command.env_remove(&name);
        }
    }
    command
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .args([
            "build",
            "--lib",
            "--target",
            "wasm32-wasip2",
            "--profile",
            "guest",
            "--target-dir",
        ])
        .arg(&target);
    for package in PACKAGES {
        command.args(["-p", package]);
    }
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}:\n{stderr}");
    target.join("wasm32-wasip2").join("guest")
}
