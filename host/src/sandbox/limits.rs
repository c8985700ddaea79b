//! What a component and one call of it may use.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use wasmtime::ResourceLimiter;

/// What one component, and one call of it, may use. None of it can be raised by a component.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest component file, in bytes.
    pub component_bytes: usize,
    /// How long a component may take to compile.
    pub compile_time: Duration,
    /// All linear memories and tables of a call together, in bytes.
    pub memory_bytes: usize,
    /// All linear memories and tables of all calls at the same time, in bytes.
    pub memory_bytes_in_all: usize,
    /// CPU of a call in units of fuel, about one instruction each; the host's work for the call has as much again.
    pub fuel: u64,
    /// A call from the moment it has its slot, host waits and nested calls included.
    pub wall_clock: Duration,
    /// Data that one host call may copy out of a component, in bytes.
    pub host_call_bytes: usize,
    /// What is kept of a component's standard error, in bytes.
    pub stderr_bytes: usize,
    /// Engine calls at the same time; rules have as many slots of their own.
    pub concurrent_calls: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            component_bytes: 8 << 20,
            compile_time: Duration::from_secs(30),
            memory_bytes: 64 << 20,
            memory_bytes_in_all: 1 << 30,
            // Measured: 0.3 to 1.5 s of CPU, by how far apart in memory the component works. Planning hundreds of tables
            // takes a hundredth of it.
            fuel: 1_000_000_000,
            wall_clock: Duration::from_secs(5),
            host_call_bytes: 8 << 20,
            stderr_bytes: 4 << 10,
            concurrent_calls: 64,
        }
    }
}

/// Core instances of one component: a std guest has four.
pub(super) const MAX_INSTANCES: u32 = 16;

/// Memories of one component: a std guest has one, two that were composed have two.
pub(super) const MAX_MEMORIES: u32 = 2;

/// Tables of one component: a std guest has two, one of them for what it imports.
pub(super) const MAX_TABLES: u32 = 4;

/// Bytes that a table's element is counted as.
const ELEMENT_BYTES: usize = 16;

/// Why a call gets no more memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It would have so many bytes, which is too many for one call.
    Call(usize),
    /// All calls together have as much as they may.
    All,
}

/// Counts all memories and tables of a store together; `StoreLimits` would bound each alone.
#[derive(Debug)]
pub struct MemoryLimiter {
    used: usize,
    limit: usize,
    /// What all calls use together.
    used_in_all: Arc<AtomicUsize>,
    limit_in_all: usize,
    refused: Option<Refused>,
}

impl MemoryLimiter {
    pub fn new(limits: &Limits, used_in_all: Arc<AtomicUsize>) -> Self {
        Self {
            used: 0,
            limit: limits.memory_bytes,
            used_in_all,
            limit_in_all: limits.memory_bytes_in_all,
            refused: None,
        }
    }

    /// Why the limiter refused, if it did.
    pub fn refused(&self) -> Option<Refused> {
        self.refused
    }

    fn grow(&mut self, current: usize, desired: usize, unit: usize) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current).saturating_mul(unit);
        let wanted = self.used.saturating_add(more);
        if wanted > self.limit {
            return self.refuse(Refused::Call(wanted));
        }
        let others = self.used_in_all.fetch_add(more, Ordering::Relaxed);
        self.used = wanted;
        if others.saturating_add(more) > self.limit_in_all {
            return self.refuse(Refused::All);
        }
        Ok(true)
    }

    /// An error, not `false`: many guests meet a refused growth with an abort that says nothing.
    fn refuse(&mut self, reason: Refused) -> wasmtime::Result<bool> {
        self.refused = Some(reason);
        Err(wasmtime::Error::msg("the memory limit is reached"))
    }
}

impl Drop for MemoryLimiter {
    fn drop(&mut self) {
        self.used_in_all.fetch_sub(self.used, Ordering::Relaxed);
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.grow(current, desired, 1)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.grow(current, desired, ELEMENT_BYTES)
    }

    fn instances(&self) -> usize {
        MAX_INSTANCES as usize
    }

    fn tables(&self) -> usize {
        MAX_TABLES as usize
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES as usize
    }
}
