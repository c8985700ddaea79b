//! Why components cannot be used, and why calls into them fail.

use super::component::{CONTRACT, Digest, Plugin, Role};
use crate::bindings::types::Failure;
use crate::failure::{ErrorCode, failure};
use crate::printable::printable;

/// Why a component cannot be used at all.
#[derive(Debug, thiserror::Error)]
#[error("plugin {name:?}{} cannot be used: {reason}", hashed(.digest))]
pub struct LoadError {
    name: String,
    /// None: the file is not even worth hashing.
    digest: Option<Digest>,
    reason: String,
    fault: Fault,
}

/// What is wrong where a component cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The component.
    Component,
    /// Its digest.
    Digest,
    /// This system: it has no executable memory for compiled code.
    NotExecutable,
}

impl LoadError {
    pub(super) fn new(name: &str, digest: Option<Digest>, reason: String) -> Self {
        Self {
            name: name.to_owned(),
            digest,
            reason,
            fault: Fault::Component,
        }
    }

    pub(super) fn of(plugin: &Plugin, reason: String) -> Self {
        Self::new(plugin.name(), Some(plugin.digest()), reason)
    }

    pub(super) fn digest(name: &str, expected: Digest, found: Digest) -> Self {
        Self {
            fault: Fault::Digest,
            ..Self::new(
                name,
                Some(found),
                format!(
                    "its bytes have the digest sha256:{found}, and sha256:{expected} was asked for"
                ),
            )
        }
    }

    pub(super) fn not_executable(name: &str, digest: Digest, reason: &str) -> Self {
        let reason = format!("this system does not let the host make memory executable ({reason})");
        Self {
            fault: Fault::NotExecutable,
            ..Self::new(name, Some(digest), reason)
        }
    }

    pub(super) fn imports(plugin: &Plugin, role: Role, refused: &[&str]) -> Self {
        let any = |prefix| refused.iter().any(|one| one.starts_with(prefix));
        let hint = if any("wasi:filesystem/") {
            "; it was built with the wasip1 adapter: build it with --target wasm32-wasip2"
        } else if any("wasi:random/") {
            "; in Rust, HashMap drags in random numbers: use BTreeMap"
        } else if any("wasi:clocks/") {
            "; in Rust, Instant and SystemTime drag in clocks: the caller passes the time"
        } else {
            ""
        };
        let reason = format!(
            "it imports what the role {role} of tombolo:sync@{CONTRACT} does not offer: {}{hint}",
            printable(&refused.join(", "))
        );
        Self::of(plugin, reason)
    }

    pub(super) fn exports(plugin: &Plugin, role: Role, missing: &[&str]) -> Self {
        let missing: Vec<_> = missing
            .iter()
            .map(|interface| format!("tombolo:sync/{interface}@{CONTRACT}"))
            .collect();
        let reason = format!(
            "it does not export {}, which the role {role} needs",
            missing.join(", ")
        );
        Self::of(plugin, reason)
    }

    /// Whether the pinned digest was another.
    #[must_use]
    pub fn is_wrong_digest(&self) -> bool {
        self.fault == Fault::Digest
    }
}

fn hashed(digest: &Option<Digest>) -> String {
    digest.map_or_else(String::new, |digest| {
        format!(" (sha256:{})", digest.prefix())
    })
}

/// Marks an error of a capability as the host's own fault, so that no plugin is blamed for it.
#[derive(Debug, thiserror::Error)]
#[error("a capability failed")]
pub struct HostFault;

/// What ended a call.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The component panicked; its last words follow.
    #[error("it panicked")]
    Panic,
    /// It computed for too long.
    #[error("it used up its CPU budget of {fuel} units of fuel")]
    OutOfFuel {
        /// The budget.
        fuel: u64,
    },
    /// It asked the host for too much work.
    #[error("it asked the host for more work than {fuel} units of fuel pay for")]
    OutOfHostFuel {
        /// The budget.
        fuel: u64,
    },
    /// It took too long, waiting included.
    #[error("it took longer than {milliseconds} ms")]
    WallClock {
        /// The limit.
        milliseconds: u128,
    },
    /// It wanted too much memory.
    #[error("it wanted {wanted} bytes of memory, and {limit} are allowed")]
    OutOfMemory {
        /// What it would have had.
        wanted: usize,
        /// The limit.
        limit: usize,
    },
    /// It wanted memory when all calls together had as much as they may.
    #[error("it wanted memory, and all calls at the same time may have {limit} bytes together")]
    NoMemoryLeft {
        /// The limit.
        limit: usize,
    },
    /// Its calls are nested too deeply.
    #[error("its stack overflowed")]
    StackOverflow,
    /// It passed too much data at once.
    #[error("it passed more data at once than is allowed")]
    HostCallData,
    /// Its answer has a part that is too long.
    #[error("its answer has {0}")]
    TooLong(String),
    /// It ended itself.
    #[error("it called exit")]
    Exit,
    /// It reached outside its memory. In Rust that is a stack overflow by large frames, or wrong unsafe code.
    #[error("it reached outside its memory, as by a stack overflow")]
    OutOfBounds,
    /// Any other trap.
    #[error("it trapped: {0}")]
    Trap(String),
    /// The host's own fault.
    #[error("the host failed: {0}")]
    Host(String),
}

/// Why a call of a component gave no result.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// wasmtime cannot run here.
    #[error("the sandbox cannot be set up: {0}")]
    Engine(wasmtime::Error),
    /// The component cannot be used.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The call has not begun: others took all slots for too long.
    #[error("{calls} calls of plugins are under way, and no more are allowed")]
    Busy {
        /// The limit.
        calls: u32,
    },
    /// The call was ended.
    #[error("plugin {plugin:?} (sha256:{digest}) failed in {function}: {cause}{}", last_words(.stderr))]
    Call {
        /// The plugin's name.
        plugin: String,
        /// The first digits of its digest.
        digest: String,
        /// The function that was called.
        function: &'static str,
        /// What ended it.
        cause: Cause,
        /// The end of what it wrote to standard error, made printable.
        stderr: String,
    },
}

fn last_words(stderr: &str) -> String {
    if stderr.is_empty() {
        String::new()
    } else {
        format!("; its last words: {stderr}")
    }
}

impl From<SandboxError> for Failure {
    fn from(error: SandboxError) -> Self {
        let (code, hint) = match &error {
            SandboxError::Load(load) if load.is_wrong_digest() => (
                ErrorCode::PluginDigest,
                "check where the file comes from, then pin the digest it should have",
            ),
            SandboxError::Load(load) if load.fault == Fault::NotExecutable => (
                ErrorCode::Internal,
                "allow it for this program: plugins become machine code; in a systemd unit, remove MemoryDenyWriteExecute=yes",
            ),
            SandboxError::Load(_) => (
                ErrorCode::Plugin,
                "use a component that was built for this role",
            ),
            SandboxError::Busy { .. } => (ErrorCode::Limit, "try again"),
            SandboxError::Engine(_)
            | SandboxError::Call {
                cause: Cause::Host(_),
                ..
            } => (ErrorCode::Internal, ""),
            SandboxError::Call { .. } => (
                ErrorCode::Plugin,
                "report it to the plugin's author; without --plugin the standard one is used",
            ),
        };
        failure(code, error.to_string(), hint)
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        SandboxError::from(error).into()
    }
}
