//! Lines of standard input.

use std::io::{BufRead, Read as _, Write as _};

use tombolo::printable::printable;

/// The longest line that is read, in bytes.
const MAX_LINE: u64 = 4_096;

/// Prints a question on standard error, if there is one, and waits for a line of standard input, which comes without its
/// end. Returns none at the end of the input, and of a line that is too long or not UTF-8.
pub async fn line(question: Option<&str>) -> Option<String> {
    if let Some(question) = question {
        // A closed standard error is no reason to stop.
        let _ = write!(std::io::stderr(), "{} ", printable(question));
    }
    let (line, read) = tokio::sync::oneshot::channel();
    // Nothing can interrupt a read of standard input, so a thread of its own waits for it.
    std::thread::spawn(move || line.send(read_line(&mut std::io::stdin().lock())));
    read.await.ok().flatten()
}

fn read_line(input: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    let read = input.take(MAX_LINE).read_line(&mut line).ok()?;
    let complete = line.ends_with('\n') || (read as u64) < MAX_LINE;
    (read > 0 && complete).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_read_and_the_rest_is_left() {
        let mut input: &[u8] = b"A7X9K2M4\r\nyes\nlast";
        assert_eq!(read_line(&mut input).as_deref(), Some("A7X9K2M4"));
        assert_eq!(read_line(&mut input).as_deref(), Some("yes"));
        assert_eq!(read_line(&mut input).as_deref(), Some("last"));
        assert_eq!(read_line(&mut input), None);
    }

    #[test]
    fn a_line_without_end_is_no_line() {
        let endless = vec![b'a'; 1 << 20];
        let mut input: &[u8] = &endless;
        assert_eq!(read_line(&mut input), None);
        assert_eq!(input.len(), endless.len() - 4_096, "no more is read");
        assert_eq!(read_line(&mut [0xff, b'\n'].as_slice()), None);
    }
}
