//! The functions of the site that the engine imports.

use std::hash::{DefaultHasher, Hasher as _};

use super::Site;
use crate::bindings::access::Admission;
use crate::bindings::database::{DatabaseInfo, DescribedTable, RowCount, TableSummary};
use crate::bindings::http::{Request, Response};
use crate::bindings::peers::{Body, PeerResponse};
use crate::bindings::services::Level;
use crate::bindings::state::{Entry, Lifetime};
use crate::bindings::transfers::{CopyInstruction, RunEvent};
use crate::bindings::types::{
    CreateOptions, DdlPlan, Dialect, Error, Peer, Scope, SessionFacts, Statement, StatementKind,
    TableSchema, Verdict,
};
use crate::host::Host;

impl Host for Site {
    fn now(&self) -> u64 {
        self.clock.get()
    }

    fn random(&self, length: u32) -> Result<Vec<u8>, Error> {
        self.entropy.set(self.entropy.get() + 1);
        let mut hasher = DefaultHasher::new();
        // Two sites never get the same bytes.
        hasher.write_usize(std::ptr::from_ref(self).addr());
        hasher.write_u64(self.entropy.get());
        let seed = hasher.finish().to_be_bytes();
        Ok(seed.iter().copied().cycle().take(length as usize).collect())
    }

    fn sha256(&self, data: &[u8]) -> Vec<u8> {
        let part = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            hasher.write_u8(salt);
            hasher.write(data);
            hasher.finish().to_be_bytes()
        };
        (0..4).flat_map(part).collect()
    }

    fn owner_alive(&self, owner: &str) -> Result<bool, Error> {
        Ok(!self.dead_owners.borrow().contains(owner))
    }

    fn log(&self, _: Level, message: &str) {
        self.log.borrow_mut().push(message.to_owned());
    }

    fn get(&self, key: &str) -> Result<Option<Entry>, Error> {
        Ok(self.state.borrow().get(key).map(|(entry, _)| entry.clone()))
    }

    fn put(
        &self,
        key: &str,
        value: &[u8],
        if_version: Option<u64>,
        lifetime: Lifetime,
    ) -> Result<Option<u64>, Error> {
        if if_version.is_some_and(|version| version > 0) {
            let race = self.race.take();
            match race {
                Some((prefix, faster)) if key.starts_with(prefix) => faster(self),
                race => drop(self.race.replace(race)),
            }
        }
        let mut state = self.state.borrow_mut();
        let stored = state.get(key).map_or(0, |(entry, _)| entry.version);
        if if_version.is_some_and(|version| version != stored) {
            return Ok(None);
        }
        let entry = Entry {
            key: key.to_owned(),
            value: value.to_vec(),
            version: stored + 1,
        };
        state.insert(key.to_owned(), (entry, lifetime));
        Ok(Some(stored + 1))
    }

    fn delete(&self, key: &str) -> Result<bool, Error> {
        Ok(self.state.borrow_mut().remove(key).is_some())
    }

    fn list(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<Entry>, Error> {
        let state = self.state.borrow();
        let found = state
            .values()
            .map(|(entry, _)| entry)
            .filter(|entry| entry.key.starts_with(prefix))
            .filter(|entry| after.is_none_or(|after| entry.key.as_str() > after));
        // Small pages, so that continuing after a page is tested too.
        Ok(found.take(limit.min(3) as usize).cloned().collect())
    }

    fn admit(&self, scope: &Scope, _: &str) -> Result<Admission, Error> {
        if let Some(error) = self.admit_fails.take() {
            return Err(error);
        }
        self.admitted.set(self.admitted.get() + 1);
        let id = format!("admission-{}", self.admitted.get());
        let token = format!("token-of-{id}");
        let known = (token.clone(), scope.clone());
        self.admissions.borrow_mut().insert(id.clone(), known);
        Ok(Admission { id, token })
    }

    fn revoke(&self, admission: &str) -> Result<(), Error> {
        self.admissions.borrow_mut().remove(admission);
        Ok(())
    }

    fn release(&self, _: &str, run: &str) -> Result<(), Error> {
        self.released.borrow_mut().push(run.to_owned());
        Ok(())
    }

    fn keep_credential(&self, _: &str, secret: &str) -> Result<String, Error> {
        let mut credentials = self.credentials.borrow_mut();
        credentials.push(secret.to_owned());
        Ok((credentials.len() - 1).to_string())
    }

    fn info(&self, database: &str) -> Result<DatabaseInfo, Error> {
        if database != "main" {
            return Err(Error::NotFound(format!("no database {database:?}")));
        }
        Ok(DatabaseInfo {
            dialect: if self.postgres.get() {
                Dialect::Postgres
            } else {
                Dialect::Sqlite
            },
            identity: "identity".to_owned(),
        })
    }

    fn fingerprint(&self, _: &str) -> Result<String, Error> {
        let known = self.fingerprint.borrow().clone();
        Ok(known.unwrap_or_else(|| format!("{self:p}")))
    }

    fn tables(&self, _: &str) -> Result<Vec<TableSummary>, Error> {
        let tables = self.tables.borrow();
        let visible = tables.iter().filter(|(name, _)| self.visible(name));
        Ok(visible
            .map(|(name, (kind, _))| TableSummary {
                table: name.clone(),
                kind: kind.clone(),
            })
            .collect())
    }

    fn describe_all(
        &self,
        _: &str,
        tables: &[String],
        counts: bool,
        facts: bool,
    ) -> Result<Vec<DescribedTable>, Error> {
        let described = tables.iter().map(|table| {
            let schema = self.look(table);
            let count = (counts && schema.is_ok()).then_some(Ok(RowCount {
                rows: 7,
                exact: true,
            }));
            let facts = (facts && schema.is_ok()).then(|| Ok(self.facts_of(table)));
            DescribedTable {
                table: table.clone(),
                schema,
                count,
                facts,
            }
        });
        Ok(described.collect())
    }

    fn widened(&self, _: &str, table: &str) -> Result<Vec<String>, Error> {
        Ok(self
            .widened
            .borrow()
            .get(table)
            .cloned()
            .unwrap_or_default())
    }

    fn known_types(&self, _: &str, types: &[String]) -> Result<Vec<String>, Error> {
        let known = types
            .iter()
            .filter(|name| self.types.borrow().contains(name));
        Ok(known.cloned().collect())
    }

    fn send(&self, peer: &Peer, request: &Request) -> Result<Response, Error> {
        self.requests.borrow_mut().push(request.clone());
        if let Some(answer) = self.answers.borrow_mut().pop_front() {
            return answer;
        }
        let credentials = self.credentials.borrow();
        let token = peer
            .credential
            .as_ref()
            .map(|id| credentials[id.parse::<usize>().unwrap()].as_str());
        let site = self.peer.borrow();
        let site = site.as_ref().unwrap();
        let PeerResponse { status, body } =
            site.serve(token, request.method, &request.path, &request.body);
        let body = match body {
            Body::Json(json) => json,
            Body::Empty => Vec::new(),
            other => panic!("the host streams that: {other:?}"),
        };
        Ok(Response { status, body })
    }

    fn start(&self, instruction: &CopyInstruction) -> Result<String, Error> {
        if let Some(error) = self.start_fails.take() {
            return Err(error);
        }
        self.jobs.borrow_mut().push(instruction.clone());
        Ok(instruction.run.clone())
    }

    fn compare(&self, instruction: &CopyInstruction) -> Result<String, Error> {
        self.comparisons.borrow_mut().push(instruction.clone());
        Ok(instruction.run.clone())
    }

    fn cancel(&self, run: &str) -> Result<(), Error> {
        self.cancelled.borrow_mut().push(run.to_owned());
        Ok(())
    }

    fn request_step(&self, run: &str) -> Result<(), Error> {
        self.steps.borrow_mut().push_back(run.to_owned());
        Ok(())
    }

    fn publish(&self, topic: &str, event: &RunEvent) -> Result<(), Error> {
        let event = (topic.to_owned(), event.clone());
        self.run_events.borrow_mut().push(event);
        Ok(())
    }

    fn new_code(&self, entropy: &[u8]) -> Result<String, Error> {
        let own = self.only_code.borrow().clone();
        Ok(own.unwrap_or_else(|| hex::encode(&entropy[..4]).to_uppercase()))
    }

    fn normalize(&self, code: &str) -> Result<String, Error> {
        assert!(code.len() <= 128, "the rules get at most 128 bytes");
        if code.contains(';') {
            return Err(Error::Invalid("not a code".to_owned()));
        }
        Ok(code.replace([' ', '-'], "").to_uppercase())
    }

    fn decide(&self, facts: SessionFacts) -> Result<Verdict, Error> {
        Ok(if facts.done {
            Verdict::AlreadyUsed
        } else if !facts.owner_alive {
            Verdict::OwnerGone
        } else if facts.same_claimer {
            Verdict::Renew
        } else if facts.claimed {
            Verdict::AlreadyUsed
        } else if facts.now >= facts.expires_at {
            Verdict::Expired
        } else {
            Verdict::Admit
        })
    }

    fn create_table(
        &self,
        _: &Dialect,
        incoming: &TableSchema,
        options: &CreateOptions,
    ) -> Result<DdlPlan, Error> {
        let CreateOptions {
            facts,
            types,
            widen,
            ..
        } = options;
        let not_carried = ["a thing".to_owned()].into_iter();
        Ok(DdlPlan {
            before: vec![Statement {
                kind: StatementKind::CreateTable,
                object: incoming.table.clone(),
                sql: "CREATE TABLE".to_owned(),
            }],
            after: Vec::new(),
            not_carried: not_carried
                .chain(types.iter().map(|name| format!("not the type {name}")))
                .chain(widen.iter().map(|name| format!("wide {name}")))
                .collect(),
            widened: facts
                .values
                .iter()
                .filter(|values| values.kinds.len() > 1)
                .map(|values| values.column.clone())
                .collect(),
        })
    }
}
