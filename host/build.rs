//! Builds the two standard plugins for `wasm32-wasip2` and hands their paths to `include_bytes!`.
//!
//! They are built by a cargo of their own, in a target directory of their own: the outer cargo holds the lock of its own
//! one. `TOMBOLO_PLUGINS=DIR` takes prebuilt `DIR/engine.wasm` and `DIR/rules.wasm` instead, DIR being absolute.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-wasip2";

/// Folder in `plugins`, package, and the variable that names the component.
const PLUGINS: [(&str, &str, &str); 2] = [
    ("engine", "tombolo-engine", "TOMBOLO_ENGINE_WASM"),
    ("rules", "tombolo-rules", "TOMBOLO_RULES_WASM"),
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed=TOMBOLO_PLUGINS");
    println!("cargo::rerun-if-env-changed=TOMBOLO_INSTALL_TARGET");
    if let Some(folder) = env::var_os("TOMBOLO_PLUGINS") {
        for (name, _, variable) in PLUGINS {
            let file = Path::new(&folder).join(format!("{name}.wasm"));
            let file = fs::canonicalize(&file)
                .map_err(|error| format!("TOMBOLO_PLUGINS: {}: {error}", file.display()))?;
            println!("cargo::rerun-if-changed={}", file.display());
            println!("cargo::rustc-env={variable}={}", file.display());
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
    for (folder, ..) in PLUGINS {
        let manifest = root.join("plugins").join(folder).join("Cargo.toml");
        println!("cargo::rerun-if-changed={}", manifest.display());
    }
    install_target(&root)?;
    let target = target_directory()?.join("guest");
    let mut cargo = Command::new(variable("CARGO")?);
    cargo
        .current_dir(&root)
        .args(["build", "--lib", "--locked", "--profile=guest"])
        .arg(format!("--target={TARGET}"))
        .arg("--target-dir")
        .arg(&target);
    for (_, package, _) in PLUGINS {
        cargo.arg(format!("--package={package}"));
    }
    keep_little_environment(&mut cargo);
    // The compiler whose target was just looked for.
    cargo.env("RUSTC", variable("RUSTC")?);
    if !cargo.status()?.success() {
        return Err("the standard plugins could not be built; cargo says above why".into());
    }
    let out = PathBuf::from(variable("OUT_DIR")?);
    for (name, package, variable) in PLUGINS {
        let artifact = target
            .join(TARGET)
            .join("guest")
            .join(format!("{}.wasm", package.replace('-', "_")));
        watch_sources(&artifact.with_extension("d"))?;
        // A copy, because nobody else writes it: what is younger than this script's start cannot be watched.
        let component = out.join(format!("{name}.wasm"));
        fs::copy(&artifact, &component)?;
        println!("cargo::rustc-env={variable}={}", component.display());
    }
    Ok(())
}

fn variable(name: &str) -> Result<OsString, String> {
    env::var_os(name).ok_or_else(|| format!("{name} is not set; is this run by cargo?"))
}

/// The directory that holds the profile's: `OUT_DIR` is `<it>/[<triple>/]<profile>/build/<package>/out`.
fn target_directory() -> Result<PathBuf, Box<dyn Error>> {
    let out = PathBuf::from(variable("OUT_DIR")?);
    let directory = out
        .ancestors()
        .find(|folder| folder.ends_with("build"))
        .and_then(|build| build.ancestors().nth(2))
        .ok_or_else(|| format!("{} is no OUT_DIR of cargo's", out.display()))?;
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
            "LOCALAPPDATA",
            "PROGRAMDATA",
            "PROGRAMFILES",
            "PROGRAMFILES(X86)",
            "SYSTEMROOT",
            "DEVELOPER_DIR",
            "SDKROOT",
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "ALL_PROXY",
            "NO_PROXY",
            // Both cargos share the processors that the outer one was given.
            "CARGO_MAKEFLAGS",
        ];
        let prefixes = [
            "RUSTUP_",
            "CARGO_HTTP_",
            "CARGO_NET_",
            "CARGO_REGISTRIES_",
            "CARGO_SOURCE_",
        ];
        if kept.contains(&upper.as_str()) || prefixes.iter().any(|one| upper.starts_with(one)) {
            cargo.env(name, value);
        }
    }
}

/// Installs the target's std where it is missing and rustup is there.
fn install_target(root: &Path) -> Result<(), Box<dyn Error>> {
    let sysroot = Command::new(variable("RUSTC")?)
        .args(["--print", "sysroot"])
        .output()?;
    let sysroot = PathBuf::from(String::from_utf8(sysroot.stdout)?.trim());
    if sysroot.join("lib/rustlib").join(TARGET).exists() {
        return Ok(());
    }
    let wanted = format!(
        "Rust's std for {TARGET} is missing in {}, and the plugins need it. Install it with: rustup target add {TARGET}",
        sysroot.display()
    );
    if env::var_os("TOMBOLO_INSTALL_TARGET").is_some_and(|value| value == "0") {
        return Err(wanted.into());
    }
    let mut rustup = Command::new("rustup");
    rustup.current_dir(root).args(["target", "add", TARGET]);
    match rustup.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(wanted.into()),
        Err(error) => Err(format!("{wanted} (rustup cannot be run: {error})").into()),
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
