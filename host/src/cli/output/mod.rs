//! Where words go: results to standard output, progress and errors to standard error; with `--json`, events to
//! standard output and nothing else.

pub mod announcement;
pub mod comparison;
pub mod confirmation;
pub mod event;
pub mod progress;
pub mod report;
pub mod schema;

use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use tombolo::bindings::types::Failure;
use tombolo::failure::printable;

use event::Event;

/// Standard output and error of one command.
pub struct Output {
    json: bool,
    broken: AtomicBool,
}

impl Output {
    /// For people, or with `json` for programs.
    pub fn new(json: bool) -> Self {
        Self {
            json,
            broken: AtomicBool::new(false),
        }
    }

    /// Whether events are wanted.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a person reads the results.
    pub fn is_terminal(&self) -> bool {
        !self.json && std::io::stdout().is_terminal()
    }

    /// Whether a person reads the progress.
    pub fn shows_progress(&self) -> bool {
        !self.json && std::io::stderr().is_terminal()
    }

    /// Whether a person can be asked something.
    pub fn can_ask(&self) -> bool {
        self.shows_progress() && std::io::stdin().is_terminal()
    }

    /// Whether everything could be written so far.
    pub fn is_complete(&self) -> bool {
        !self.broken.load(Ordering::Relaxed)
    }

    /// Prints an event, if events are wanted.
    pub fn event(&self, event: &Event<'_>) {
        if self.json
            && let Ok(line) = serde_json::to_string(event)
        {
            self.write(&line);
        }
    }

    /// Prints an event of another process as it is, if events are wanted.
    pub fn forward(&self, line: &str) {
        if self.json {
            self.write(line);
        }
    }

    /// Prints a result for people.
    pub fn result(&self, text: &str) {
        if !self.json {
            self.write(text);
        }
    }

    /// Tells people how it goes.
    pub fn note(&self, text: &str) {
        if !self.json {
            // Nobody listens there any more: no reason to stop.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// Tells what went wrong.
    pub fn failure(&self, failure: &Failure) {
        self.event(&failure.into());
        self.note(&describe(failure));
    }

    /// Standard output may be closed (`| head`) or full; the work goes on, and the exit code tells.
    fn write(&self, text: &str) {
        let mut stdout = std::io::stdout().lock();
        let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
        if let Err(error) = written
            && !self.broken.swap(true, Ordering::Relaxed)
            && error.kind() != ErrorKind::BrokenPipe
        {
            let _ = writeln!(
                std::io::stderr(),
                "error: standard output cannot be written: {error}"
            );
        }
    }
}

/// What happened, where and why, and in a second line what to do next.
fn describe(failure: &Failure) -> String {
    let mut text = format!("error: {}", printable(&failure.message));
    if !failure.hint.is_empty() {
        text.push_str("\n  → ");
        text.push_str(&printable(&failure.hint));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use tombolo::failure::{ErrorCode, failure};

    #[test]
    fn the_hint_has_a_line_of_its_own() {
        let text = describe(&failure(
            ErrorCode::Denied,
            "not shared",
            "ask the other site",
        ));
        assert_eq!(text, "error: not shared\n  → ask the other site");
        assert_eq!(
            describe(&failure(ErrorCode::Denied, "not shared", "")),
            "error: not shared"
        );
    }

    #[test]
    fn a_peer_cannot_control_the_terminal() {
        let text = describe(&failure(
            ErrorCode::Sender,
            "\u{1b}[2Jgone\n\rerror: none",
            "",
        ));
        assert!(!text.contains(['\u{1b}', '\n', '\r']), "{text:?}");
    }
}
