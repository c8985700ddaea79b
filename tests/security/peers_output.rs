//! What peers make `share` print: few lines, whatever they ask for.

use std::io::{BufReader, Read as _, Write as _};

use crate::support::http::{self, claim, connect, token};
use crate::support::sample_tables::create_one_row;
use crate::support::site::Site;

#[test]
fn a_table_that_is_asked_for_again_and_again_gives_few_lines() {
    const REQUESTS: u64 = 400;
    let site = Site::new();
    let share = site.share(&[&create_one_row(&site, "source.db")]);
    let token = token(&claim(&share.url, &share.code, "a secret"));
    let mut socket = connect(&share.url);
    let mut reader = BufReader::new(socket.try_clone().unwrap());
    let request = format!(
        "GET /sync/v1/tables/t/rows?run=a HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    for _ in 0..REQUESTS {
        socket.write_all(request.as_bytes()).unwrap();
        let (first, headers) = http::read_head(&mut reader).unwrap();
        assert!(
            first.contains(" 200 ") && http::is_chunked(&headers),
            "{first}"
        );
        while http::read_chunk(&mut reader).unwrap().is_some() {}
    }
    let done = http::request(
        &share.url,
        "POST",
        "/sync/v1/done?run=a",
        Some(&token),
        br#"{"tables":[]}"#,
    );
    assert_eq!(done.status, 200, "{done:?}");
    let mut rest = Vec::new();
    drop(socket);
    let _ = reader.read_to_end(&mut rest);
    let lines = share.running.wait().expect_exit(0).events_of("sent");
    let sum = |name: &str| {
        lines
            .iter()
            .filter_map(|line| line[name].as_u64())
            .sum::<u64>()
    };
    assert_eq!(lines[0]["times"], 1, "the first one comes at once");
    // The last ones may come after the end.
    assert!(
        (REQUESTS - 8..=REQUESTS).contains(&sum("times")),
        "{lines:?}"
    );
    assert_eq!(sum("rows"), sum("times"));
    assert!(lines.len() < 10, "{}", lines.len());
}
