//! A site in memory: the catalogue of a database, the state, session rules, and a connection to another site.

mod host;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use crate::bindings::database::TableKind;
use crate::bindings::events::Event;
use crate::bindings::http::{Method, Request, Response};
use crate::bindings::peers::{PeerRequest, PeerResponse};
use crate::bindings::sharing::{Direction, ShareRequest};
use crate::bindings::state::{Entry, Lifetime};
use crate::bindings::transfers::{CopyInstruction, RunEvent};
use crate::bindings::types::{Error, Scope, TableFacts, TableSchema};
use crate::exports;
use crate::serve::{routes, sessions};

type Hook = (&'static str, Box<dyn FnOnce(&Site)>);

#[derive(Default)]
pub struct Site {
    pub clock: Cell<u64>,
    /// By how many milliseconds each description of a table advances the clock.
    pub slowness: Cell<u64>,
    entropy: Cell<u64>,
    pub state: RefCell<BTreeMap<String, (Entry, Lifetime)>>,
    /// Called before the next conditional write below a prefix, as if another call were faster.
    pub race: RefCell<Option<Hook>>,
    pub dead_owners: RefCell<BTreeSet<String>>,
    /// Tokens and scopes by admission.
    pub admissions: RefCell<BTreeMap<String, (String, Scope)>>,
    pub admitted: Cell<u32>,
    /// The error of the next call to `admit`.
    pub admit_fails: RefCell<Option<Error>>,
    credentials: RefCell<Vec<String>>,
    pub tables: RefCell<BTreeMap<String, (TableKind, TableSchema)>>,
    pub postgres: Cell<bool>,
    /// The user-defined types of the database.
    pub types: RefCell<Vec<String>>,
    /// The widened columns by table.
    pub widened: RefCell<BTreeMap<String, Vec<String>>>,
    /// What is known of tables beside their schemas.
    pub facts: RefCell<BTreeMap<String, TableFacts>>,
    /// How often `facts` has to be asked again.
    pub waits_for_facts: Cell<u32>,
    /// The scope of the peer whose request is handled.
    narrowed: RefCell<Option<Scope>>,
    pub peer: RefCell<Option<Rc<Site>>>,
    /// The next answers, in place of the peer's own.
    pub answers: RefCell<VecDeque<Result<Response, Error>>>,
    pub requests: RefCell<Vec<Request>>,
    steps: RefCell<VecDeque<String>>,
    pub jobs: RefCell<Vec<CopyInstruction>>,
    pub comparisons: RefCell<Vec<CopyInstruction>>,
    pub cancelled: RefCell<Vec<String>>,
    /// What its database is, if that is no other one than that of each other site.
    pub fingerprint: RefCell<Option<String>>,
    /// Runs whose snapshots were released.
    pub released: RefCell<Vec<String>>,
    /// The error of the next call to `start`.
    pub start_fails: RefCell<Option<Error>>,
    pub run_events: RefCell<Vec<(String, RunEvent)>>,
    pub log: RefCell<Vec<String>>,
    /// The only code that the rules make.
    pub only_code: RefCell<Option<String>>,
}

impl Site {
    /// What is known of a table; none while it is still looked at.
    pub fn facts_of(&self, table: &str) -> Option<TableFacts> {
        let waits = self.waits_for_facts.get();
        self.waits_for_facts.set(waits.saturating_sub(1));
        (waits == 0).then(|| {
            let facts = self.facts.borrow();
            facts.get(table).cloned().unwrap_or(TableFacts {
                values: Vec::new(),
                features: Vec::new(),
            })
        })
    }

    pub fn with(tables: &[TableSchema]) -> Self {
        let site = Self::default();
        site.add(tables);
        site
    }

    pub fn add(&self, tables: &[TableSchema]) {
        for schema in tables {
            let table = (TableKind::Table, schema.clone());
            self.tables.borrow_mut().insert(schema.table.clone(), table);
        }
    }

    pub fn add_view(&self, schema: TableSchema) {
        let name = schema.table.clone();
        let mut tables = self.tables.borrow_mut();
        tables.insert(name, (TableKind::View, schema));
    }

    /// Shares tables for one minute and returns the code.
    pub fn share(&self, tables: &[&str]) -> String {
        let request = ShareRequest {
            direction: Direction::Send,
            database: "main".to_owned(),
            scope: Scope {
                tables: tables.iter().map(|table| (*table).to_owned()).collect(),
            },
            owner: "owner".to_owned(),
            expires_in: 60_000,
        };
        sessions::create(self, request).unwrap().code
    }

    /// Handles one request as the host does: resolves the token, and narrows the database to the scope of its admission.
    pub fn serve(
        &self,
        token: Option<&str>,
        method: Method,
        path: &str,
        body: &[u8],
    ) -> PeerResponse {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let path = path.strip_prefix("/sync/v1/").unwrap();
        let known = self.admissions.borrow();
        let admission = known
            .iter()
            .find(|(_, (own, _))| Some(own.as_str()) == token)
            .map(|(id, (_, scope))| (id.clone(), scope.clone()));
        drop(known);
        let (admission, scope) = admission.unzip();
        let request = PeerRequest {
            method,
            path: path.split('/').map(decode).collect(),
            query: query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .map(|(name, value)| (decode(name), decode(value)))
                .collect(),
            admission,
            body: body.to_vec(),
        };
        self.narrowed.replace(scope);
        let response = routes::handle(self, &request);
        self.narrowed.replace(None);
        response
    }

    /// Takes all requested steps.
    pub fn take_steps(&self) {
        while let Some(run) = self.next_step() {
            self.deliver(Event::Step(run));
        }
    }

    pub fn next_step(&self) -> Option<String> {
        self.steps.borrow_mut().pop_front()
    }

    pub fn deliver(&self, event: Event) {
        exports::deliver(self, event).unwrap();
    }

    pub fn run_events_of(&self, topic: &str) -> Vec<RunEvent> {
        let run_events = self.run_events.borrow();
        let own = run_events.iter().filter(|(about, _)| about == topic);
        own.map(|(_, event)| event.clone()).collect()
    }

    /// Returns the keys that outlive the process.
    pub fn durable(&self) -> Vec<String> {
        let state = self.state.borrow();
        let durable = state
            .iter()
            .filter(|(_, (_, lifetime))| *lifetime == Lifetime::Durable);
        durable.map(|(key, _)| key.clone()).collect()
    }

    fn visible(&self, table: &str) -> bool {
        let scope = self.narrowed.borrow();
        scope.as_ref().is_none_or(|scope| {
            let mut patterns = scope.tables.iter();
            patterns.any(|pattern| match pattern.strip_suffix('*') {
                Some(start) => table.starts_with(start),
                None => table == pattern,
            })
        })
    }

    fn look(&self, table: &str) -> Result<TableSchema, Error> {
        if !self.visible(table) {
            return Err(Error::Denied(format!("table {table:?} is outside")));
        }
        self.clock.set(self.clock.get() + self.slowness.get());
        match self.tables.borrow().get(table) {
            Some((TableKind::Table, schema)) => Ok(schema.clone()),
            Some(_) => Err(Error::Invalid(format!("{table:?} is a view"))),
            None => Err(Error::NotFound(format!("there is no table {table:?}"))),
        }
    }
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        if *first == b'%' {
            let (digits, more) = rest.split_at(2);
            rest = more;
            let digits = std::str::from_utf8(digits).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).unwrap()
}
