//! What can be chosen on the command line.

use crate::data::Keys;

/// Measures transfers against the tools that people would use instead.
#[derive(Debug, clap::Parser)]
#[command(name = "just bench")]
pub struct Arguments {
    /// Which cases; all if none is named
    #[arg(value_name = "CASE")]
    pub cases: Vec<String>,
    /// Rows of a table
    #[arg(long, env = "TOMBOLO_BENCH_ROWS", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    pub rows: u64,
    /// How often each figure is measured; the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub repetitions: u32,
    /// Only this kind of keys, in cases that have both
    #[arg(long, value_enum)]
    pub keys: Option<Keys>,
    /// Tables of 10 M rows too, in the case `size`
    #[arg(long)]
    pub large: bool,
    /// Write the tables to docs/benchmarks.md
    #[arg(long)]
    pub write: bool,
    /// List the cases
    #[arg(long)]
    pub list: bool,
    /// What `cargo bench` says, and `cargo test --all-targets` does not
    #[arg(long = "bench", hide = true)]
    pub started_by_cargo_bench: bool,
}

impl Arguments {
    /// The kinds of keys to measure with.
    pub fn keys(&self) -> Vec<Keys> {
        match self.keys {
            Some(one) => vec![one],
            None => vec![Keys::Sequential, Keys::Random],
        }
    }
}
