//! Components: read once, pinned by their digest, checked against the contract, compiled.

use std::any::Any;
use std::fmt;
use std::str::FromStr;

use wasmparser::{Parser, Validator, WasmFeatures};
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use super::error::LoadError;
use crate::digest::sha256;
use crate::printable::printable;

/// The version of the package in `wit/`.
pub(super) const CONTRACT: &str = "0.1.0";

/// A place in a deployment that a component fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The sync logic, with capabilities.
    Engine,
    /// Session rules.
    Sessions,
    /// Conflict strategies.
    Conflicts,
    /// Schema-to-DDL.
    Ddl,
}

impl Role {
    /// What a component has to export for the role.
    fn exports(self) -> &'static [&'static str] {
        match self {
            Self::Engine => &["peers", "events", "sharing", "client"],
            Self::Sessions => &["sessions"],
            Self::Conflicts => &["conflicts"],
            Self::Ddl => &["ddl"],
        }
    }

    /// Which of Tombolo's interfaces a component of the role may import.
    fn imports(self) -> &'static [&'static str] {
        match self {
            Self::Engine => &[
                "types",
                "database",
                "http",
                "access",
                "state",
                "services",
                "transfers",
                "sessions",
                "ddl",
                // Type-only for the engine, but bound to what it exports.
                "conflicts",
            ],
            Self::Sessions | Self::Conflicts | Self::Ddl => &["types"],
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Engine => "engine",
            Self::Sessions => "sessions",
            Self::Conflicts => "conflicts",
            Self::Ddl => "ddl",
        })
    }
}

/// A text that names no role.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown role {0:?}: use engine, sessions, conflicts or ddl")]
pub struct RoleError(String);

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        [Self::Engine, Self::Sessions, Self::Conflicts, Self::Ddl]
            .into_iter()
            .find(|role| role.to_string() == text)
            .ok_or_else(|| RoleError(text.to_owned()))
    }
}

/// The SHA-256 of a component's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha256(bytes))
    }

    /// Twelve digits: enough to tell plugins apart in a message.
    #[must_use]
    pub fn prefix(&self) -> String {
        self.to_string().chars().take(12).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "sha256:{self}")
    }
}

/// A text that is no digest.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid digest: use 64 hexadecimal digits")]
pub struct DigestError;

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let mut digest = [0; 32];
        hex::decode_to_slice(text, &mut digest).map_err(|_| DigestError)?;
        Ok(Self(digest))
    }
}

/// A compiled component with a name for people.
#[derive(Clone)]
pub struct Plugin {
    name: String,
    digest: Digest,
    component: Component,
}

impl Plugin {
    pub(super) fn new(name: &str, digest: Digest, component: Component) -> Self {
        Self {
            name: name.to_owned(),
            digest,
            component,
        }
    }

    /// Its name for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The digest of its bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    pub(super) fn component(&self) -> &Component {
        &self.component
    }

    /// Whether the component can fill a role: all that it imports is on offer there, all that is needed is exported.
    pub(super) fn check(&self, role: Role) -> Result<(), LoadError> {
        let engine = self.component.engine();
        let ty = self.component.component_type();
        let refused: Vec<&str> = ty
            .imports(engine)
            .filter(|(name, item)| !is_type_only(engine, &item.ty) && !is_offered(role, name))
            .map(|(name, _)| name)
            .collect();
        if !refused.is_empty() {
            return Err(LoadError::imports(self, role, &refused));
        }
        let exported: Vec<&str> = ty.exports(engine).map(|(name, _)| name).collect();
        let missing: Vec<&str> = role
            .exports()
            .iter()
            .copied()
            .filter(|wanted| !exported.iter().any(|name| interface(name) == Some(wanted)))
            .collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(LoadError::exports(self, role, &missing))
        }
    }
}

fn is_offered(role: Role, import: &str) -> bool {
    // Rust's std drags these in; the host's are empty but for standard error.
    import.starts_with("wasi:io/")
        || import.starts_with("wasi:cli/")
        || interface(import).is_some_and(|name| role.imports().contains(&name))
}

/// `state` of `tombolo:sync/state@0.1.0`, if this host speaks that version: before 1.0 the minor number has to be the same.
fn interface(name: &str) -> Option<&str> {
    let (name, version) = name.strip_prefix("tombolo:sync/")?.split_once('@')?;
    let compatible = version.split('.').take(2).eq(CONTRACT.split('.').take(2));
    compatible.then_some(name)
}

/// An instance without functions needs nothing from the host.
fn is_type_only(engine: &wasmtime::Engine, item: &ComponentItem) -> bool {
    match item {
        ComponentItem::ComponentInstance(instance) => instance
            .exports(engine)
            .all(|(_, item)| is_type_only(engine, &item.ty)),
        ComponentItem::Type(_) => true,
        _ => false,
    }
}

pub(super) fn too_large(size: usize, limit: usize) -> String {
    format!("it has {size} bytes, and {limit} are allowed")
}

/// What components may use of WebAssembly: the second version of the core specification, and components.
const FEATURES: WasmFeatures = WasmFeatures::WASM2
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::COMPONENT_MODEL);

/// Checks a component before it is compiled. The compiler is allowed one feature more, several memories in one module:
/// its own adapters between composed components need it, and components cannot reach it any more.
pub(super) fn validate(bytes: &[u8]) -> Result<(), String> {
    if !Parser::is_component(bytes) {
        return Err(invalid("its first bytes are not those of a component"));
    }
    let checked = Validator::new_with_features(FEATURES).validate_all(bytes);
    checked
        .map(|_| ())
        .map_err(|error| invalid(&error.to_string()))
}

fn invalid(reason: &str) -> String {
    let reason = printable(reason);
    if reason.contains("async") {
        format!(
            "this host runs synchronous components only; build it without async functions ({reason})"
        )
    } else {
        format!("it is no valid component: {reason}")
    }
}

/// Why a valid component cannot be compiled.
pub(super) fn uncompiled(error: &wasmtime::Error) -> Uncompiled {
    let reason = format!("{error:#}");
    // wasmtime has no type for this error.
    if reason.contains("memory executable") {
        Uncompiled::NotExecutable(printable(&reason))
    } else {
        Uncompiled::Component(invalid(&reason))
    }
}

/// Why the compiler returned nothing: the text of its panic.
pub(super) fn compiler_failed(panic: &(dyn Any + Send)) -> Uncompiled {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("it does not say why");
    Uncompiled::Component(format!(
        "the compiler failed on this component: {}",
        printable(text)
    ))
}

/// Why there is no compiled component.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Uncompiled {
    /// The component's fault, or the compiler's.
    Component(String),
    /// This system keeps the host from making memory executable.
    NotExecutable(String),
}
