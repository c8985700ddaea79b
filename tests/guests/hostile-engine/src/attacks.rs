//! Each import of the engine in a loop, with the largest arguments and with small ones.

use std::hint::black_box;

use crate::bindings::tombolo::sync::http::{Method, Request};
use crate::bindings::tombolo::sync::services::Level;
use crate::bindings::tombolo::sync::state::Lifetime;
use crate::bindings::tombolo::sync::transfers::{CopyInstruction, RunEvent, TableInstruction};
use crate::bindings::tombolo::sync::types::{
    Column, CreateOptions, Dialect, Generation, LogicalType, Peer, Scope, SessionFacts, Statement,
    StatementKind, TableFacts, TableSchema,
};
use crate::bindings::tombolo::sync::{
    access, database, ddl, http, services, sessions, state, transfers,
};

/// A little less than what one host call may copy.
const LARGE: usize = 7 << 20;

/// The elements of a list that takes about as much in the host.
const MANY: usize = 200_000;

/// Attacks one import without end; returns if there is no such import.
#[allow(clippy::too_many_lines, reason = "one line an import")]
pub fn attack(name: &str) {
    let text = "x".repeat(LARGE);
    let many = vec![String::new(); MANY];
    match name {
        "database.info" => repeat(|| (database::info(&text), database::info("main"))),
        "database.fingerprint" => {
            repeat(|| (database::fingerprint(&text), database::fingerprint("main")))
        }
        "database.tables" => repeat(|| (database::tables(&text), database::tables("main"))),
        "database.describe" => repeat(|| {
            let described = database::describe("main", "t");
            (database::describe("main", &text), described)
        }),
        "database.known-types" => repeat(|| database::known_types("main", &many)),
        "database.facts" => repeat(|| {
            let facts = database::facts("main", "t");
            (database::facts("main", &text), facts)
        }),
        "database.widened" => repeat(|| {
            let widened = database::widened("main", "t");
            (database::widened("main", &text), widened)
        }),
        "database.count" => repeat(|| {
            let counted = database::count("main", "t");
            (database::count("main", &text), counted)
        }),
        "http.send" => {
            let body = text.clone().into_bytes();
            repeat(|| {
                let sent = http::send(&peer("http://127.0.0.1:1"), &request("/", &body));
                (http::send(&peer(&text), &request("/", b"")), sent)
            });
        }
        "access.admit" => {
            let patterns = scope(vec!["*{a,b}?*".repeat(100); 1_000]);
            repeat(|| {
                let admitted = access::admit(&scope(vec!["*".to_owned()]), "owner");
                (
                    access::admit(&patterns, &text),
                    access::admit(&patterns, "owner"),
                    admitted,
                )
            });
        }
        "access.revoke" => repeat(|| (access::revoke(&text), access::revoke("x"))),
        "access.release" => repeat(|| (access::release(&text, &text), access::release("x", "y"))),
        "access.keep-credential" => repeat(|| access::keep_credential("http://a", &text)),
        "services.now" => repeat(services::now),
        "services.random" => repeat(|| (services::random(1_024), services::random(u32::MAX))),
        "services.sha256" => {
            let data = vec![1; 1 << 20];
            repeat(|| services::sha256(&data));
        }
        "services.owner-alive" => {
            repeat(|| (services::owner_alive(&text), services::owner_alive("x")))
        }
        "services.log" => repeat(|| services::log(Level::Error, &text)),
        "state.get" => repeat(|| (state::get(&text), state::get("x"))),
        "state.put" => {
            let value = vec![1; 1 << 20];
            let mut number = 0_u32;
            repeat(|| {
                number += 1;
                let put = state::put(&number.to_string(), &value, None, Lifetime::Process);
                (
                    put,
                    state::put("x", text.as_bytes(), None, Lifetime::Durable),
                )
            });
        }
        "state.delete" => repeat(|| (state::delete(&text), state::delete("x"))),
        "state.list" => {
            for number in 0..20 {
                let key = number.to_string();
                let _ = state::put(&key, &[1; 1 << 20], None, Lifetime::Process);
            }
            repeat(|| (state::list(&text, None, 1), state::list("", None, u32::MAX)));
        }
        "transfers.start" => {
            let instruction = instruction(&text);
            repeat(|| transfers::start(&instruction));
        }
        "transfers.compare" => {
            let instruction = instruction(&text);
            repeat(|| transfers::compare(&instruction));
        }
        "transfers.cancel" => repeat(|| (transfers::cancel(&text), transfers::cancel("x"))),
        "transfers.request-step" => {
            let mut number = 0_u32;
            repeat(|| {
                number += 1;
                // A run whose step ends at once.
                let requested = transfers::request_step(&format!("none-{number}"));
                (transfers::request_step(&text), requested)
            });
        }
        "transfers.publish" => {
            let event = RunEvent::Claimed(text.clone());
            let small = RunEvent::Claimed(String::new());
            repeat(|| {
                (
                    transfers::publish("x", &event),
                    transfers::publish(&text, &small),
                )
            });
        }
        "sessions.new-code" => repeat(|| {
            let made = sessions::new_code(&[7; 256]);
            (sessions::new_code(text.as_bytes()), made)
        }),
        "sessions.normalize" => repeat(|| (sessions::normalize(&text), sessions::normalize("x"))),
        "sessions.decide" => repeat(|| sessions::decide(facts())),
        "ddl.create-table" => {
            let schema = schema(20_000);
            let small = schema_of(Vec::new());
            let (with_many, none) = (options(&many), options(&[]));
            repeat(|| {
                let planned = ddl::create_table(&Dialect::Sqlite, &small, &with_many);
                (ddl::create_table(&Dialect::Sqlite, &schema, &none), planned)
            });
        }
        _ => {}
    }
}

/// Calls something for ever.
pub fn repeat<T>(mut call: impl FnMut() -> T) {
    loop {
        black_box(call());
    }
}

fn peer(base_url: &str) -> Peer {
    Peer {
        base_url: base_url.to_owned(),
        credential: None,
    }
}

fn request(path: &str, body: &[u8]) -> Request {
    Request {
        method: Method::Post,
        path: path.to_owned(),
        body: body.to_vec(),
    }
}

fn scope(tables: Vec<String>) -> Scope {
    Scope { tables }
}

fn facts() -> SessionFacts {
    SessionFacts {
        now: 0,
        expires_at: 1,
        owner_alive: true,
        claimed: false,
        same_claimer: false,
        done: false,
    }
}

fn schema(columns: usize) -> TableSchema {
    let column = |number| Column {
        name: format!("c{number}"),
        logical: LogicalType::Text,
        origin: "sqlite:TEXT".to_owned(),
        nullable: true,
        default: None,
        generation: Generation::None,
    };
    schema_of((0..columns).map(column).collect())
}

fn options(types: &[String]) -> CreateOptions {
    CreateOptions {
        facts: TableFacts {
            values: Vec::new(),
            features: Vec::new(),
        },
        types: types.to_vec(),
        widen: Vec::new(),
        keep: Vec::new(),
    }
}

fn schema_of(columns: Vec<Column>) -> TableSchema {
    TableSchema {
        table: "t".to_owned(),
        columns,
        primary_key: Vec::new(),
        unique_keys: Vec::new(),
        foreign_keys: Vec::new(),
        enums: Vec::new(),
    }
}

fn instruction(text: &str) -> CopyInstruction {
    let statement = Statement {
        kind: StatementKind::CreateTable,
        object: "t".to_owned(),
        sql: text.to_owned(),
    };
    CopyInstruction {
        run: "r".to_owned(),
        ledger: "r".to_owned(),
        peer: peer("http://127.0.0.1:1"),
        database: "main".to_owned(),
        tables: vec![TableInstruction {
            incoming: schema_of(Vec::new()),
            source: None,
            strategy: "skip".to_owned(),
            params: Vec::new(),
            create: true,
            before: vec![statement],
            after: Vec::new(),
            one_chunk: false,
            rows: None,
            differences: false,
            conversions: Vec::new(),
        }],
        jobs: 1,
        reject_limit: 1,
        max_rows: None,
        max_bytes: None,
    }
}
