//! What a command prints: results on standard output, notes and errors on standard error, or only events with `--json`.

pub mod announcement;
pub mod comparison;
pub mod confirmation;
pub mod event;
mod json;
pub mod live;
pub mod log;
pub mod not_carried;
pub mod omissions;
pub mod pace;
pub mod plan;
pub mod progress;
pub mod report;
pub mod schema;
pub mod shell;
pub mod standstill;
pub mod width;

use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use tombolo::bindings::types::Failure;
use tombolo::printable::{printable, printable_lines};

use event::{Event, Line};

/// Standard output and error of one command.
pub struct Output {
    json: bool,
    broken: AtomicBool,
}

impl Output {
    /// Creates the output for people, or with `json` for programs.
    pub fn new(json: bool) -> Self {
        Self {
            json,
            broken: AtomicBool::new(false),
        }
    }

    /// Returns true if events are printed.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Returns true if results go to a terminal.
    pub fn is_terminal(&self) -> bool {
        !self.json && std::io::stdout().is_terminal()
    }

    /// Returns true if progress bars go to a terminal.
    pub fn shows_progress(&self) -> bool {
        !self.json && std::io::stderr().is_terminal()
    }

    /// Returns true if a person can answer a question.
    pub fn can_ask(&self) -> bool {
        self.shows_progress() && std::io::stdin().is_terminal()
    }

    /// Returns false once writing to standard output has failed.
    pub fn is_complete(&self) -> bool {
        !self.broken.load(Ordering::Relaxed)
    }

    /// Prints an event for programs.
    pub fn event(&self, event: &Event<'_>) {
        if self.json
            && let Ok(line) = json::line(&Line::from(event))
        {
            self.write(&line);
        }
    }

    /// Prints a line with an event of another process for programs.
    pub fn forward(&self, line: &str) {
        if self.json {
            self.write(line);
        }
    }

    /// Prints a result for people.
    pub fn result(&self, text: &str) {
        if !self.json {
            self.write(&printable_lines(text));
        }
    }

    /// Prints rows for people: a table on a terminal, else one line for each row, separated by tabs.
    ///
    /// The columns from number `left` on are aligned to the right.
    pub fn rows(&self, header: &[&str], left: usize, rows: Vec<Vec<String>>) {
        if self.is_terminal() {
            self.result(&report::table(header, left, rows).to_string());
            return;
        }
        for row in rows {
            let cells: Vec<String> = row.iter().map(|cell| printable(cell)).collect();
            self.result(&cells.join("\t"));
        }
    }

    /// Prints a note for people.
    pub fn note(&self, text: &str) {
        if !self.json {
            // A closed standard error is no reason to stop.
            let _ = live::above(|| writeln!(std::io::stderr(), "{}", printable_lines(text)));
        }
    }

    /// Prints why the command failed.
    pub fn failure(&self, failure: &Failure) {
        self.event(&failure.into());
        self.note(&describe(failure));
    }

    /// Standard output may be closed (`| head`) or full: the work continues, and the exit code is 1.
    fn write(&self, text: &str) {
        let written = live::above(|| {
            let mut stdout = std::io::stdout().lock();
            writeln!(stdout, "{text}").and_then(|()| stdout.flush())
        });
        if let Err(error) = written
            && !self.broken.swap(true, Ordering::Relaxed)
            && error.kind() != ErrorKind::BrokenPipe
        {
            let _ = writeln!(
                std::io::stderr(),
                "error: cannot write to standard output: {error}"
            );
        }
    }
}

/// Formats the message, and the hint in a second line.
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
