//! The wasmtime engine of a process, its settings, slots and standard components.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use tokio::sync::{Semaphore, oneshot};
use wasmtime::component::Component;
use wasmtime::{
    Cache, CacheConfig, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
};

use super::component::{self, Digest, Plugin, Uncompiled};
use super::error::{LoadError, SandboxError};
use super::limits::{Limits, MAX_INSTANCES, MAX_MEMORIES, MAX_TABLES};
use super::ticker::Ticker;

/// Kept mapped in a pooled slot between calls; measured as the fastest size.
const KEEP_RESIDENT: usize = 64 << 10;

/// Room for one memory in a pooled slot; the limiter bounds what a call really gets.
const SLOT_BYTES: usize = 64 << 20;

/// The name of the thread that compiles.
const COMPILER: &str = "compiler";

/// All that components share: the wasmtime engine, the limits, the slots, and what was compiled already.
#[derive(Clone)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub engine: Engine,
    pub limits: Limits,
    /// Slots of the role `engine`.
    pub engine_calls: Semaphore,
    /// Slots of rules: reserved, because an engine call that holds a slot waits for them.
    pub rules_calls: Semaphore,
    /// One component is compiled at a time: the compiler uses all cores, and who waits may find its result.
    compiler: Arc<Semaphore>,
    compiled: Mutex<HashMap<Digest, Component>>,
    pub ticker: Ticker,
    /// Bytes of memories and tables of all calls.
    pub memory: Arc<AtomicUsize>,
}

impl Sandbox {
    /// Makes the engine: pooled slots where the address space allows, else memory on demand.
    pub fn new(limits: Limits) -> Result<Self, SandboxError> {
        Self::with(limits, None)
    }

    /// As [`Self::new`]; what is compiled is kept in a folder for the next process. What stands in the folder is run
    /// without a further look: only its owner may be able to write to it.
    pub fn with_cache(limits: Limits, folder: &Path) -> Result<Self, SandboxError> {
        let mut cache = CacheConfig::new();
        // Modules that are used often would be compressed once more, at a level that takes a second and 150 MiB.
        cache
            .with_directory(folder)
            .with_optimized_compression_usage_counter_threshold(u64::MAX);
        let cache = Cache::new(cache).map_err(SandboxError::Engine)?;
        Self::with(limits, Some(cache))
    }

    fn with(limits: Limits, cache: Option<Cache>) -> Result<Self, SandboxError> {
        let engine = match Engine::new(config(Some(&limits)).cache(cache.clone())) {
            Ok(engine) => {
                tracing::debug!(
                    calls = limits.concurrent_calls,
                    "the sandbox has pooled slots"
                );
                engine
            }
            Err(error) => {
                tracing::info!(%error, "the sandbox has no pooled slots here; memory is allocated on demand");
                Engine::new(config(None).cache(cache)).map_err(SandboxError::Engine)?
            }
        };
        let ticker = Ticker::start(&engine)
            .map_err(|error| SandboxError::Engine(wasmtime::Error::new(error)))?;
        let slots = limits.concurrent_calls as usize;
        Ok(Self {
            inner: Arc::new(Inner {
                engine,
                engine_calls: Semaphore::new(slots),
                rules_calls: Semaphore::new(slots),
                compiler: Arc::new(Semaphore::new(1)),
                compiled: Mutex::new(HashMap::new()),
                ticker,
                memory: Arc::default(),
                limits,
            }),
        })
    }

    pub(super) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Loads a component from its bytes: exactly the bytes that are hashed are compiled. A wrong `expected` digest is
    /// refused before that.
    pub async fn load(
        &self,
        name: &str,
        bytes: Vec<u8>,
        expected: Option<Digest>,
    ) -> Result<Plugin, LoadError> {
        let limits = &self.inner.limits;
        if bytes.len() > limits.component_bytes {
            let reason = component::too_large(bytes.len(), limits.component_bytes);
            return Err(LoadError::new(name, None, reason));
        }
        let digest = Digest::of(&bytes);
        if let Some(expected) = expected
            && expected != digest
        {
            return Err(LoadError::digest(name, expected, digest));
        }
        let refuse = |reason| LoadError::new(name, Some(digest), reason);
        let compiled = tokio::time::timeout(limits.compile_time, self.compile(digest, bytes))
            .await
            .map_err(|_| refuse("compiling it takes too long".to_owned()))?
            .map_err(|error| match error {
                Uncompiled::Component(reason) => refuse(reason),
                Uncompiled::NotExecutable(reason) => {
                    LoadError::not_executable(name, digest, &reason)
                }
            })?;
        Ok(Plugin::new(name, digest, compiled))
    }

    async fn compile(&self, digest: Digest, bytes: Vec<u8>) -> Result<Component, Uncompiled> {
        if let Some(known) = self.known(digest) {
            return Ok(known);
        }
        let compiler = self.inner.compiler.clone();
        let turn = compiler.acquire_owned().await;
        if let Some(known) = self.known(digest) {
            return Ok(known);
        }
        let engine = self.inner.engine.clone();
        let (sender, receiver) = oneshot::channel();
        keep_compiler_quiet();
        // Not tokio's blocking thread: a process that ends would wait for a compilation that nobody waits for any more.
        std::thread::Builder::new()
            .name(COMPILER.to_owned())
            .spawn(move || {
                // An error: the time was up.
                let _ = sender.send(compile(|| {
                    component::validate(&bytes).map_err(Uncompiled::Component)?;
                    Component::from_binary(&engine, &bytes)
                        .map_err(|error| component::uncompiled(&error))
                }));
                drop(turn);
            })
            .map_err(|error| {
                let reason = format!("the host cannot start a thread to compile it: {error}");
                Uncompiled::Component(reason)
            })?;
        let compiled = receiver
            .await
            .map_err(|_| Uncompiled::Component("the compiler's thread ended".to_owned()))??;
        self.compiled().insert(digest, compiled.clone());
        Ok(compiled)
    }

    /// The engine that comes with the host.
    pub async fn standard_engine(&self) -> Result<Plugin, LoadError> {
        let bytes = include_bytes!(env!("TOMBOLO_ENGINE_WASM"));
        self.load("standard engine", bytes.to_vec(), None).await
    }

    /// The rules that come with the host.
    pub async fn standard_rules(&self) -> Result<Plugin, LoadError> {
        let bytes = include_bytes!(env!("TOMBOLO_RULES_WASM"));
        self.load("standard rules", bytes.to_vec(), None).await
    }

    fn known(&self, digest: Digest) -> Option<Component> {
        self.compiled().get(&digest).cloned()
    }

    fn compiled(&self) -> MutexGuard<'_, HashMap<Digest, Component>> {
        self.inner
            .compiled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Compiles, and turns a panic of the compiler into an error of this component.
pub(super) fn compile(
    work: impl FnOnce() -> Result<Component, Uncompiled>,
) -> Result<Component, Uncompiled> {
    std::panic::catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(component::compiler_failed(&*panic)))
}

/// A panic of the compiler is told in an error; it is not printed.
fn keep_compiler_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if std::thread::current().name() == Some(COMPILER) {
                tracing::debug!("the compiler panicked: {panic}");
            } else {
                print(panic);
            }
        }));
    });
}

/// Most of a year's advisories lie in proposals that are switched off here: nothing of the contract needs them.
fn config(pooled: Option<&Limits>) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .wasm_component_model_async(false)
        .concurrency_support(false)
        .gc_support(false)
        .wasm_exceptions(false)
        .wasm_function_references(false)
        .wasm_gc(false)
        .wasm_memory64(false)
        // Only for the compiler's own adapters: `component::validate` has refused it in components.
        .wasm_multi_memory(true)
        .wasm_relaxed_simd(false)
        .wasm_tail_call(false)
        .wasm_threads(false)
        .wasm_wide_arithmetic(false)
        .consume_fuel(true)
        .epoch_interruption(true)
        // The same input gives the same decision on every machine.
        .cranelift_nan_canonicalization(true);
    if let Some(limits) = pooled {
        // Engine calls and the rules they wait for; each has all that a component may have, so no call can use up
        // what is reserved for another. Address space only: 4 GiB a memory, so that bounds checks are free.
        let calls = limits.concurrent_calls.saturating_mul(2);
        let mut pooling = PoolingAllocationConfig::default();
        pooling
            .total_component_instances(calls)
            .total_stacks(calls)
            .total_core_instances(calls.saturating_mul(MAX_INSTANCES))
            .max_core_instances_per_component(MAX_INSTANCES)
            .total_memories(calls.saturating_mul(MAX_MEMORIES))
            .max_memories_per_component(MAX_MEMORIES)
            .total_tables(calls.saturating_mul(MAX_TABLES))
            .max_tables_per_component(MAX_TABLES)
            .max_memory_size(limits.memory_bytes.max(SLOT_BYTES))
            .linear_memory_keep_resident(KEEP_RESIDENT);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pooling));
    }
    config
}
