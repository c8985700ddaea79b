//! Tests of runs in which a process, the network, a row stream or the target fails.

mod corruption;
mod kills;
mod network_faults;
mod postgres_locks;
mod private_copies;
mod resume;
mod slow_peers;
mod stream_failures;
mod target_failures;
