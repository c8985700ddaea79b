//! What a component writes to standard output and standard error: the end of the latter is kept for messages.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{OutputStream, StreamError, StreamResult};

use crate::printable::printable;

/// The most of a component's last words that stands in an error, in characters.
const LAST_WORDS: usize = 300;

/// The most that is taken in one write; writers come again with the rest.
const WRITE_BYTES: usize = 4 << 10;

/// Where a component writes to: the end of it is kept. It is never full: a component that says much must not fail by it.
#[derive(Clone, Debug)]
pub(super) struct Output {
    limit: usize,
    end: Arc<Mutex<VecDeque<u8>>>,
}

impl Output {
    /// Keeps so many bytes.
    pub fn keeping(limit: usize) -> Self {
        Self {
            limit,
            end: Arc::default(),
        }
    }

    /// What the component said last, on one line and without control characters.
    pub fn last_words(&self) -> String {
        let mut end = self.end();
        last_words(&String::from_utf8_lossy(end.make_contiguous()))
    }

    fn end(&self) -> MutexGuard<'_, VecDeque<u8>> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A Rust panic from its place on; of anything else the end.
fn last_words(text: &str) -> String {
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("note: run with `RUST_BACKTRACE"));
    let text = lines.collect::<Vec<_>>().join("\n");
    let text = text.trim();
    let words: String = match text.rfind("panicked at ").and_then(|at| text.get(at..)) {
        Some(panic) => panic.chars().take(LAST_WORDS).collect(),
        None => {
            let skipped = text.chars().count().saturating_sub(LAST_WORDS);
            text.chars().skip(skipped).collect()
        }
    };
    printable(&words)
}

#[async_trait::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

#[async_trait::async_trait]
impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > WRITE_BYTES {
            return Err(StreamError::trap(
                "more was written at once than was permitted",
            ));
        }
        let kept = bytes.len().saturating_sub(self.limit);
        let mut end = self.end();
        end.extend(bytes.get(kept..).unwrap_or_default());
        let excess = end.len().saturating_sub(self.limit);
        end.drain(..excess);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Asked for by WASI 0.3 only, which is not linked.
        Box::new(tokio::io::empty())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_end_is_kept_and_nothing_is_ever_too_much() {
        let mut stderr = Output::keeping(10);
        for chunk in ["first", "second", &"x".repeat(50), "the end"] {
            assert_eq!(stderr.check_write().unwrap(), WRITE_BYTES);
            stderr.write(Bytes::from(chunk.to_owned())).unwrap();
        }
        assert_eq!(stderr.last_words(), "xxxthe end");
        assert!(stderr.end().len() <= 10);
        let more = Bytes::from(vec![0; WRITE_BYTES + 1]);
        assert!(matches!(stderr.write(more), Err(StreamError::Trap(_))));
    }

    #[test]
    fn a_panic_is_told_from_its_place_on() {
        let said = "loading\n\nthread '<unnamed>' (1) panicked at src/lib.rs:3:5:\nno \u{1b}[31mred\u{1b}[0m\n\
            note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";
        assert_eq!(
            last_words(said),
            "panicked at src/lib.rs:3:5: no  [31mred [0m"
        );
    }

    #[test]
    fn many_words_are_cut() {
        let said = format!("panicked at x: {}", "ä".repeat(5_000));
        assert_eq!(last_words(&said).chars().count(), LAST_WORDS);
        let said = format!("{}the end", "ä".repeat(1_500));
        let words = last_words(&said);
        assert!(words.ends_with("the end") && words.chars().count() == LAST_WORDS);
    }
}
