//! The routes for peers.

use super::*;
use crate::bindings::http::Method;
use crate::bindings::peers::{
    ApplyInstruction, Body, DigestInstruction, PeerResponse, ReadInstruction, Selection,
};
use crate::wire::{ErrorBody, SharedTable, SharedTables};
use serde::de::DeserializeOwned;

/// A site with tables `orders`, `order_lines`, `secrets` and a view, and a token for `order*`.
fn shop() -> (Site, String) {
    let site = Site::with(&[
        table("orders", &[]),
        table("order_lines", &["orders"]),
        table("secrets", &[]),
    ]);
    site.add_view(table("order_view", &[]));
    let token = admit(&site, &["order*"]);
    (site, token)
}

fn admit(site: &Site, scope: &[&str]) -> String {
    let code = site.share(scope);
    let body = serde_json::json!({
        "code": code, "claimer_secret": "s".repeat(32), "claimer": "Bo", "protocol": 1, "row_format": 1,
    });
    let body = body.to_string();
    let answer = site.serve(None, Method::Post, "/sync/v1/claim", body.as_bytes());
    read::<serde_json::Value>(answer)["token"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn get(site: &Site, token: &str, path: &str) -> PeerResponse {
    site.serve(Some(token), Method::Get, &format!("/sync/v1/{path}"), b"")
}

fn read<T: DeserializeOwned>(answer: PeerResponse) -> T {
    let Body::Json(json) = answer.body else {
        panic!("no JSON: {answer:?}")
    };
    serde_json::from_slice(&json).unwrap()
}

fn refused(answer: PeerResponse) -> (u16, String) {
    let status = answer.status;
    let error = read::<ErrorBody>(answer).error;
    assert!(
        !error.message.is_empty() && !error.hint.is_empty(),
        "{error:?}"
    );
    (status, error.code)
}

#[test]
fn requests_without_a_token_are_unauthorized() {
    let (site, _) = shop();
    for (method, path) in [
        (Method::Get, "tables"),
        (Method::Get, "tables/orders"),
        (Method::Get, "tables/orders/rows?run=r1"),
        (Method::Get, "tables/orders/digest?run=r1"),
        (Method::Post, "tables/orders/rows?run=r1"),
        (Method::Get, "runs/r1"),
        (Method::Post, "done?run=r1"),
    ] {
        for token in [None, Some("unknown")] {
            let answer = site.serve(token, method, &format!("/sync/v1/{path}"), b"{}");
            assert_eq!(refused(answer), (401, "unauthorized".to_owned()), "{path}");
        }
    }
}

#[test]
fn unknown_paths_are_not_found() {
    let (site, token) = shop();
    for path in ["", "claim", "table", "tables/orders/columns", "done?run=r1"] {
        let answer = refused(get(&site, &token, path));
        assert_eq!(answer, (404, "not-found".to_owned()), "{path}");
    }
}

#[test]
fn the_list_contains_what_was_requested() {
    let (site, token) = shop();
    let names: SharedTables = read(get(&site, &token, "tables"));
    let listed: Vec<(&str, &str)> = names
        .tables
        .iter()
        .map(|one| (one.table.as_str(), one.kind.as_str()))
        .collect();
    let expected = [
        ("order_lines", "table"),
        ("order_view", "view"),
        ("orders", "table"),
    ];
    assert_eq!(listed, expected);
    assert!(names.tables.iter().all(|one| one.schema.is_none()));

    let full: SharedTables = read(get(&site, &token, "tables?schema=1&counts=1"));
    let orders = &full.tables[2];
    assert_eq!((orders.rows, orders.exact), (7, true));
    assert_eq!(orders.schema, Some(table("orders", &[])));
    assert!(full.tables[1].schema.is_none(), "a view is only named");
    assert!(full.next.is_none());
}

/// All pages, requested as a receiver does.
fn pages(site: &Site, token: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut after = String::new();
    loop {
        let path = format!("tables?schema=1&counts=1{after}");
        let page: SharedTables = read(get(site, token, &path));
        pages.push(page.tables.into_iter().map(|one| one.table).collect());
        match page.next {
            Some(next) => after = format!("&after={}", crate::wire::segment(&next)),
            None => return pages,
        }
    }
}

#[test]
fn a_long_list_comes_in_pages() {
    let tables: Vec<TableSchema> = (0..450)
        .map(|number| table(&format!("t {number:03}"), &[]))
        .collect();
    let site = Site::with(&tables);
    let token = admit(&site, &["*"]);
    let pages = pages(&site, &token);
    let sizes: Vec<usize> = pages.iter().map(Vec::len).collect();
    assert_eq!(sizes, [200, 200, 50]);
    let all: Vec<String> = pages.concat();
    assert!(all.is_sorted() && all.len() == 450);
}

#[test]
fn pages_of_large_tables_stay_below_the_receivers_limit() {
    let wide = |number: usize| {
        let parents: Vec<String> = (0..400)
            .map(|key| format!("{key}{}", "p".repeat(1_000)))
            .collect();
        let parents: Vec<&str> = parents.iter().map(String::as_str).collect();
        table(&format!("t{number:02}"), &parents)
    };
    let tables: Vec<TableSchema> = (0..30).map(wide).collect();
    let site = Site::with(&tables);
    let token = admit(&site, &["*"]);
    let answer = get(&site, &token, "tables?schema=1");
    let Body::Json(json) = &answer.body else {
        panic!("no JSON")
    };
    assert!(json.len() < 8 << 20, "{}", json.len());
    let pages = pages(&site, &token);
    assert!(pages.len() > 1);
    assert_eq!(pages.concat().len(), 30);
}

#[test]
fn a_slow_database_gives_short_pages() {
    let (site, token) = shop();
    site.slowness.set(10_000);
    let pages = pages(&site, &token);
    assert_eq!(pages.concat(), ["order_lines", "order_view", "orders"]);
    assert!(pages.len() > 1);
}

#[test]
fn one_table_or_the_reason_why_not() {
    let (site, token) = shop();
    let orders: SharedTable = read(get(&site, &token, "tables/orders"));
    assert_eq!(orders.schema, Some(table("orders", &[])));
    assert_eq!((orders.rows, orders.exact), (7, true));
    for (name, status, code) in [
        ("order_items", 404, "no-such-table"),
        ("secrets", 403, "denied"),
        ("order_view", 422, "not-a-table"),
    ] {
        let answer = refused(get(&site, &token, &format!("tables/{name}")));
        assert_eq!(answer, (status, code.to_owned()));
    }
}

#[test]
fn rows_are_streamed_by_the_host() {
    let (site, token) = shop();
    let read = || ReadInstruction {
        database: "main".to_owned(),
        table: "order lines/ü".to_owned(),
        run: "r-1".to_owned(),
        selection: Selection::All,
        without: vec!["a b".to_owned(), "ü".to_owned()],
    };
    let path = "tables/order%20lines%2F%C3%BC";
    let rows = get(
        &site,
        &token,
        &format!("{path}/rows?run=r-1&without=a%20b&without=%C3%BC"),
    );
    assert_eq!((rows.status, rows.body), (200, Body::Rows(read())));
    let digest = get(&site, &token, &format!("{path}/digest?run=r-1&buckets=16"));
    let digests = DigestInstruction {
        database: "main".to_owned(),
        table: "order lines/ü".to_owned(),
        run: "r-1".to_owned(),
        buckets: 16,
        without: Vec::new(),
    };
    assert_eq!(digest.body, Body::Digest(digests));
    let path = format!("/sync/v1/{path}/rows?run=r-1&strategy=merge");
    let ReadInstruction {
        database,
        table,
        run,
        ..
    } = read();
    let push = site.serve(Some(&token), Method::Post, &path, b"");
    let apply = ApplyInstruction {
        database,
        table,
        run,
        strategy: "merge".to_owned(),
    };
    assert_eq!(push.body, Body::Receive(apply));
    let later = refused(get(&site, &token, "runs/r-1"));
    assert_eq!(later, (501, "unavailable".to_owned()));
}

#[test]
fn a_query_selects_rows() {
    let (site, token) = shop();
    let chosen = |query: &str| {
        let path = format!("tables/orders/rows?run=r-1&{query}");
        match get(&site, &token, &path) {
            PeerResponse {
                body: Body::Rows(instruction),
                ..
            } => Ok(instruction.selection),
            response => Err(refused(response)),
        }
    };
    assert_eq!(chosen("after=00fF"), Ok(Selection::After(vec![0, 255])));
    assert_eq!(chosen("first=100"), Ok(Selection::First(100)));
    assert_eq!(chosen("buckets=0180"), Ok(Selection::Buckets(vec![0, 15])));
    assert_eq!(chosen("buckets="), Ok(Selection::Buckets(Vec::new())));
    let long = format!("buckets={}", "ff".repeat(513));
    for query in [
        "after=0",
        "after=xx",
        "first=-1",
        "first=x",
        "first=1001",
        "buckets=0g",
        &long,
    ] {
        assert_eq!(
            chosen(query),
            Err((400, "bad-request".to_owned())),
            "{query}"
        );
    }
}

#[test]
fn rows_need_a_valid_run_id() {
    let (site, token) = shop();
    let long = format!("?run={}", "r".repeat(65));
    for query in ["", "?run=", "?run=a%2Fb", "?run=%00", "?walk=r1", &long] {
        let answer = refused(get(&site, &token, &format!("tables/orders/rows{query}")));
        assert_eq!(answer, (400, "bad-request".to_owned()), "{query}");
    }
}

#[test]
fn a_complete_session_refuses_a_remaining_admission() {
    let (site, token) = shop();
    let kept = site.admissions.borrow().clone();
    let body = br#"{"tables":[]}"#;
    let done = site.serve(Some(&token), Method::Post, "/sync/v1/done?run=r1", body);
    assert_eq!(done.status, 200);
    // As if the host had not revoked the admission yet.
    site.admissions.replace(kept);
    for path in ["tables", "tables/orders", "tables/orders/rows?run=r1"] {
        assert_eq!(refused(get(&site, &token, path)).0, 410, "{path}");
    }
}
