//! Builds the two standard plugins for `wasm32-wasip2` and hands their paths to `include_bytes!`.
//!
//! They are built by a cargo of their own, in a target directory of their own: the outer cargo holds the lock of its own
//! one. `TOMBOLO_PLUGINS=DIR` takes prebuilt `DIR/engine.wasm` and `DIR/rules.wasm` instead.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-wasip2";

/// Package, file name in `TOMBOLO_PLUGINS`, and the variable that names the component.
const PLUGINS: [(&str, &str, &str); 2] = [
    ("tombolo-engine", "engine.wasm", "TOMBOLO_ENGINE_WASM"),
    ("tombolo-rules", "rules.wasm", "TOMBOLO_RULES_WASM"),
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed=TOMBOLO_PLUGINS");
    println!("cargo::rerun-if-env-changed=TOMBOLO_INSTALL_TARGET");
    if let Some(folder) = env::var_os("TOMBOLO_PLUGINS") {
        for (_, file, variable) in PLUGINS {
            embed(&fs::canonicalize(Path::new(&folder).join(file))?, variable);
        }
        return Ok(());
    }
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?)
        .parent()
        .ok_or("the package has no workspace above it")?
        .to_owned();
    for watched in ["Cargo.toml", "Cargo.lock", "wit"] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    install_target()?;
    let target = target_directory()?.join("guest");
    let mut cargo = Command::new(variable("CARGO")?);
    cargo
        .current_dir(&root)
        .args(["build", "--lib", "--locked", "--profile=guest"])
        .arg(format!("--target={TARGET}"))
        .arg("--target-dir")
        .arg(&target);
    for (package, ..) in PLUGINS {
        cargo.arg(format!("--package={package}"));
    }
    keep_little_environment(&mut cargo);
    if !cargo.status()?.success() {
        return Err(format!(
            "the standard plugins could not be built; is the target there? Try: rustup target add {TARGET}"
        )
        .into());
    }
    for (package, _, variable) in PLUGINS {
        let artifact = target
            .join(TARGET)
            .join("guest")
            .join(format!("{}.wasm", package.replace('-', "_")));
        watch_sources(&artifact.with_extension("d"))?;
        embed(&artifact, variable);
    }
    Ok(())
}

fn embed(component: &Path, variable: &str) {
    println!("cargo::rerun-if-changed={}", component.display());
    println!("cargo::rustc-env={variable}={}", component.display());
}

fn variable(name: &str) -> Result<OsString, String> {
    env::var_os(name).ok_or_else(|| format!("{name} is not set; is this run by cargo?"))
}

/// The directory that holds the profile's: `OUT_DIR` is `<it>/<profile>/build/<package>/out`.
fn target_directory() -> Result<PathBuf, Box<dyn Error>> {
    let out = PathBuf::from(variable("OUT_DIR")?);
    let directory = out.ancestors().nth(4).ok_or("OUT_DIR is too short")?;
    // With `--target` there is one more level, named like the host's target.
    let triple = env::var("TARGET")?;
    Ok(match directory.parent() {
        Some(parent) if directory.ends_with(&triple) => parent.to_owned(),
        _ => directory.to_owned(),
    })
}

/// Flags, wrappers and features of the host's build must not reach the plugins; the way to the registry must.
fn keep_little_environment(cargo: &mut Command) {
    cargo.env_clear();
    for (name, value) in env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let upper = text.to_ascii_uppercase();
        let kept = [
            "PATH",
            "HOME",
            "CARGO_HOME",
            "TMPDIR",
            "TEMP",
            "TMP",
            "USERPROFILE",
            "SYSTEMROOT",
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "ALL_PROXY",
            "NO_PROXY",
            "CARGO_NET_OFFLINE",
        ];
        let prefixes = [
            "RUSTUP_",
            "CARGO_HTTP_",
            "CARGO_REGISTRIES_",
            "CARGO_SOURCE_",
        ];
        if kept.contains(&upper.as_str()) || prefixes.iter().any(|one| upper.starts_with(one)) {
            cargo.env(name, value);
        }
    }
}

/// Installs the target's std where it is missing and rustup is there; cargo's own error says the rest.
fn install_target() -> Result<(), Box<dyn Error>> {
    let sysroot = Command::new(variable("RUSTC")?)
        .args(["--print", "sysroot"])
        .output()?;
    let sysroot = PathBuf::from(String::from_utf8(sysroot.stdout)?.trim());
    if sysroot.join("lib/rustlib").join(TARGET).exists() {
        return Ok(());
    }
    let wanted =
        format!("Rust's std for {TARGET} is missing. Install it with: rustup target add {TARGET}");
    if env::var_os("TOMBOLO_INSTALL_TARGET").is_some_and(|value| value == "0") {
        return Err(wanted.into());
    }
    match Command::new("rustup")
        .args(["target", "add", TARGET])
        .status()
    {
        Ok(status) if status.success() => Ok(()),
        _ => Err(wanted.into()),
    }
}

/// Asks for a rebuild when a file changes that cargo's dependency file names. Spaces in it are escaped.
fn watch_sources(dependencies: &Path) -> Result<(), Box<dyn Error>> {
    let text = fs::read_to_string(dependencies)?;
    let files = text.split_once(": ").map_or("", |(_, files)| files);
    for file in files.replace("\\ ", "\0").split_whitespace() {
        println!("cargo::rerun-if-changed={}", file.replace('\0', " "));
    }
    Ok(())
}
