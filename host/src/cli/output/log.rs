//! Logs on standard error: one line for each, and nothing in it that harms a terminal.

use std::fmt;
use std::io::{self, Write};

use tombolo::printable::is_harmful;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::live;

/// Standard error for logs. The only orders for a terminal that it passes on are the colours of the log itself; the log
/// escapes the beginning of such an order in a message.
pub struct Log;

impl Write for Log {
    /// Writes a whole log entry, as it is handed over.
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        let text = one_line(&String::from_utf8_lossy(entry));
        live::above(|| io::stderr().lock().write_all(text.as_bytes()))?;
        Ok(entry.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The form of a log entry among words for people: `warning: `, the message, and the error.
pub struct ForPeople;

impl<S, N> FormatEvent<S, N> for ForPeople
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut words = Words::default();
        event.record(&mut words);
        write!(writer, "warning: {}", words.message)?;
        if !words.error.is_empty() {
            write!(writer, ": {}", words.error)?;
        }
        writeln!(writer)
    }
}

/// What people read of an entry.
#[derive(Default)]
struct Words {
    message: String,
    error: String,
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            "error" => self.error = format!("{value:?}"),
            _ => {}
        }
    }
}

fn one_line(entry: &str) -> String {
    let mut rest = entry.strip_suffix('\n').unwrap_or(entry);
    let mut line = String::with_capacity(entry.len());
    while let Some(at) = rest.find(is_harmful) {
        let (before, from) = rest.split_at(at);
        line.push_str(before);
        let (kept, skipped) = match colour(from) {
            Some(order) => (order, order.len()),
            None => (" ", from.chars().next().map_or(0, char::len_utf8)),
        };
        line.push_str(kept);
        rest = from.get(skipped..).unwrap_or_default();
    }
    line.push_str(rest);
    line.push('\n');
    line
}

/// The order for a colour or a weight at the beginning of a text: `ESC [ digits m`.
fn colour(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("\u{1b}[")?;
    let behind =
        digits.trim_start_matches(|character: char| character.is_ascii_digit() || character == ';');
    let order = text.len() - behind.strip_prefix('m')?.len();
    text.get(..order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_one_line_and_only_its_own_colours() {
        assert_eq!(
            one_line(
                "\u{1b}[2m10:00\u{1b}[0m \u{1b}[33m WARN\u{1b}[0m a\n10:01 ERROR\u{202e}\u{9b}2J\u{1b}[2J\u{1b}]8;;\n"
            ),
            "\u{1b}[2m10:00\u{1b}[0m \u{1b}[33m WARN\u{1b}[0m a 10:01 ERROR  2J [2J ]8;;\n"
        );
        assert_eq!(one_line("plain\n"), "plain\n");
    }
}
