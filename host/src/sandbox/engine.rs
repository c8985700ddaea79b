use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::component::{self, Digest, Plugin};
use super::error::{LoadError, SandboxError};
use super::limits::Limits;

/// Kept mapped in a pooled slot between calls; measured as the fastest size.
const KEEP_RESIDENT: usize = 64 << 10;

/// Room for one memory in a pooled slot; the limiter bounds what a call really gets.
const SLOT_BYTES: usize = 64 << 20;

/// Core instances, memories and tables of one component: std guests have four core instances.
const PER_COMPONENT: u32 = 16;

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
    compiled: Mutex<HashMap<Digest, wasmtime::component::Component>>,
}

impl Sandbox {
    /// Makes the engine: pooled slots where the address space allows, else memory on demand.
    pub fn new(limits: Limits) -> Result<Self, SandboxError> {
        let engine = match Engine::new(&config(Some(&limits))) {
            Ok(engine) => engine,
            Err(error) => {
                tracing::info!(%error, "no pooled slots here; memory is allocated on demand");
                Engine::new(&config(None)).map_err(SandboxError::Engine)?
            }
        };
        let slots = limits.concurrent_calls as usize;
        Ok(Self {
            inner: Arc::new(Inner {
                engine,
                engine_calls: Semaphore::new(slots),
                rules_calls: Semaphore::new(slots),
                compiled: Mutex::new(HashMap::new()),
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
        let refuse = |reason| LoadError::new(name, reason);
        if bytes.len() > limits.component_bytes {
            return Err(refuse(component::too_large(
                bytes.len(),
                limits.component_bytes,
            )));
        }
        let digest = Digest::of(&bytes);
        if let Some(expected) = expected
            && expected != digest
        {
            return Err(LoadError::digest(name, expected, digest));
        }
        let compiled = self.compiled().get(&digest).cloned();
        let compiled = match compiled {
            Some(compiled) => compiled,
            None => {
                let engine = self.inner.engine.clone();
                let compiling = tokio::task::spawn_blocking(move || {
                    wasmtime::component::Component::from_binary(&engine, &bytes)
                });
                let compiled = tokio::time::timeout(limits.compile_time, compiling)
                    .await
                    .map_err(|_| refuse("compiling it takes too long".to_owned()))?
                    .map_err(|error| refuse(error.to_string()))?
                    .map_err(|error| refuse(component::uncompiled(&error)))?;
                self.compiled().insert(digest, compiled.clone());
                compiled
            }
        };
        Ok(Plugin::new(name, digest, compiled))
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

    fn compiled(
        &self,
    ) -> std::sync::MutexGuard<'_, HashMap<Digest, wasmtime::component::Component>> {
        self.inner
            .compiled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Most of a year's advisories lie in proposals that are switched off here: nothing of the contract needs them.
fn config(pooled: Option<&Limits>) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .wasm_component_model_async(false)
        .concurrency_support(false)
        .wasm_exceptions(false)
        .wasm_function_references(false)
        .wasm_gc(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_relaxed_simd(false)
        .wasm_tail_call(false)
        .wasm_threads(false)
        .wasm_wide_arithmetic(false)
        .consume_fuel(true)
        // The same input gives the same decision on every machine.
        .cranelift_nan_canonicalization(true);
    if let Some(limits) = pooled {
        // Engine calls and the rules they wait for; the rest are core parts of those.
        let calls = limits.concurrent_calls.saturating_mul(2);
        let parts = calls.saturating_mul(PER_COMPONENT);
        let mut pooling = PoolingAllocationConfig::default();
        pooling
            .total_component_instances(calls)
            .total_core_instances(parts)
            .total_memories(calls.saturating_mul(2))
            .total_tables(calls.saturating_mul(4))
            .total_stacks(calls)
            .max_core_instances_per_component(PER_COMPONENT)
            .max_memories_per_component(4)
            .max_tables_per_component(8)
            .table_elements(20_000)
            .max_memory_size(limits.memory_bytes.max(SLOT_BYTES))
            .linear_memory_keep_resident(KEEP_RESIDENT);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pooling));
    }
    config
}
