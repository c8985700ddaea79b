//! What a PostgreSQL server logged of Tombolo's sessions: their statements, and the names that these use.

use std::collections::{BTreeMap, BTreeSet};

use super::tokens::{Token, tokens};

/// Words before a parenthesis that are no function.
const NO_FUNCTIONS: [&str; 23] = [
    "all",
    "and",
    "any",
    "array",
    "as",
    "by",
    "exists",
    "filter",
    "from",
    "in",
    "lateral",
    "not",
    "on",
    "operator",
    "or",
    "over",
    "partition",
    "select",
    "then",
    "values",
    "when",
    "where",
    "with",
];

/// Words after which a name is that of a table.
const BEFORE_TABLES: [&str; 5] = ["from", "into", "join", "table", "update"];

/// Syntax that calls an operator or a function by its name, and that name.
const HIDDEN: [(&str, &str); 13] = [
    ("between", "<="),
    ("between", ">="),
    ("distinct", "="),
    ("extract", "date_part"),
    ("ilike", "~~*"),
    ("in", "<>"),
    ("in", "="),
    ("like", "~~"),
    ("nullif", "="),
    ("similar", "similar_to_escape"),
    ("trim", "btrim"),
    ("using", "="),
    ("zone", "timezone"),
];

/// What Tombolo's sessions call themselves.
const APPLICATION: &str = "tombolo";

/// The statements of one session in order.
pub struct Session {
    pub login: String,
    pub statements: Vec<String>,
}

/// Returns the sessions of Tombolo in a log with `log_statement=all`.
pub fn sessions(log: &str) -> Vec<Session> {
    let mut sessions: BTreeMap<&str, Session> = BTreeMap::new();
    let mut open: Option<&str> = None;
    for line in log.lines() {
        // The further lines of a long statement begin with a tab.
        if let Some(more) = line.strip_prefix('\t') {
            let last = open.and_then(|id| sessions.get_mut(id)?.statements.last_mut());
            if let Some(statement) = last {
                statement.push('\n');
                statement.push_str(more);
            }
            continue;
        }
        open = None;
        let mut parts = line.splitn(4, ',');
        let (Some(id), Some(login), Some(APPLICATION), Some(entry)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let Some(entry) = entry.strip_prefix("LOG:  ") else {
            continue;
        };
        let statement = entry.strip_prefix("statement: ").or_else(|| {
            let (_, statement) = entry.strip_prefix("execute ")?.split_once(": ")?;
            Some(statement)
        });
        let Some(statement) = statement else {
            continue;
        };
        let session = sessions.entry(id).or_insert_with(|| Session {
            login: login.to_owned(),
            statements: Vec::new(),
        });
        session.statements.push(statement.to_owned());
        open = Some(id);
    }
    sessions.into_values().collect()
}

/// The names in statements: of functions, operators and types, and what else has the form of one.
#[derive(Debug, Default)]
pub struct Names {
    pub functions: BTreeSet<String>,
    pub operators: BTreeSet<String>,
    pub types: BTreeSet<String>,
}

impl Names {
    /// Adds the names of a statement.
    pub fn read(&mut self, sql: &str) {
        let tokens = tokens(sql);
        for (number, token) in tokens.iter().enumerate() {
            match token {
                Token::Operator(name) => drop(self.operators.insert(name.clone())),
                Token::Word(name) | Token::Quoted(name) => {
                    if tokens.get(number + 1) == Some(&Token::Other('(')) {
                        self.functions.insert(name.clone());
                    }
                    self.types.insert(name.clone());
                }
                Token::Text(_) | Token::Other(_) => {}
            }
            for (_, name) in HIDDEN.iter().filter(|(word, _)| token.is(word)) {
                self.functions.insert((*name).to_owned());
                self.operators.insert((*name).to_owned());
            }
        }
    }
}

/// Returns the kind of a statement: its first words, and PostgreSQL's and Tombolo's own functions and tables in it.
pub fn kind(sql: &str) -> String {
    let tokens = tokens(sql);
    let is_name = |word: &&str| !word.starts_with(|c: char| c.is_numeric());
    let words = tokens.iter().map_while(word).take_while(is_name);
    let first: Vec<&str> = words.take(2).collect();
    let own: BTreeSet<String> = tokens
        .windows(3)
        .filter_map(|three| match three {
            [Token::Word(schema), Token::Other('.'), Token::Word(name)] => {
                let is_own = ["pg_catalog", "tombolo"].contains(&schema.as_str());
                is_own.then(|| format!(" {name}"))
            }
            _ => None,
        })
        .collect();
    let own: Vec<String> = own.into_iter().collect();
    format!("{}:{}", first.join(" "), own.concat())
}

/// Returns the statements of a session that name something while another login could decide what it means: before the
/// path is pinned, or while it is not.
pub fn unpinned(session: &Session) -> Vec<String> {
    let mut path = Path::default();
    let mut found = Vec::new();
    for sql in &session.statements {
        for statement in tokens(sql).split(|token| *token == Token::Other(';')) {
            if !path.is_safe_for(statement) {
                found.push(format!("{}: {sql}", path.now()));
            }
            path.follow(statement);
        }
    }
    found
}

/// The search path of a session; nothing as long as it is that of the login.
#[derive(Default)]
struct Path {
    session: Option<String>,
    transaction: Option<String>,
}

impl Path {
    fn now(&self) -> &str {
        let path = self.transaction.as_deref().or(self.session.as_deref());
        path.unwrap_or("the login's own path")
    }

    fn is_safe_for(&self, statement: &[Token]) -> bool {
        let path = self.now();
        // Schemas between the two are those in which nobody else may create.
        if path.starts_with("pg_catalog, ") && path.ends_with("pg_temp") {
            return true;
        }
        let first = statement.first().and_then(word).unwrap_or_default();
        // What is created holds names and literals only.
        let creates = first == "create" && path.ends_with("pg_temp");
        let names_nothing = ["", "set", "begin", "commit", "rollback"].contains(&first);
        names_nothing || creates || unqualified(statement).is_none()
    }

    fn follow(&mut self, statement: &[Token]) {
        let words: Vec<&str> = statement.iter().filter_map(word).collect();
        let list = || {
            statement
                .iter()
                .skip_while(|token| !token.is("search_path"))
                .skip(1)
        };
        match words.as_slice() {
            ["commit" | "rollback"] => self.transaction = None,
            ["set", "local", "search_path", ..] => self.transaction = Some(printed(list())),
            ["set", "search_path", ..] => self.session = Some(printed(list())),
            ["select", "pg_catalog", "set_config", ..] => {
                let mut texts = statement.iter().filter_map(|token| match token {
                    Token::Text(text) => Some(text.as_str()),
                    _ => None,
                });
                if texts.next() == Some("search_path") {
                    self.session = texts.next().map(str::to_owned);
                }
            }
            _ => {}
        }
    }
}

fn word(token: &Token) -> Option<&str> {
    match token {
        Token::Word(word) => Some(word),
        _ => None,
    }
}

/// Prints the schemas of a path.
fn printed<'a>(tokens: impl Iterator<Item = &'a Token>) -> String {
    let schemas: Vec<String> = tokens
        .filter_map(|token| match token {
            Token::Word(schema) => Some(schema.clone()),
            Token::Quoted(schema) => Some(format!("\"{schema}\"")),
            _ => None,
        })
        .collect();
    schemas.join(", ")
}

/// Returns the first function, operator, type or table of a statement that is not qualified with its schema.
fn unqualified(statement: &[Token]) -> Option<&Token> {
    let before = |number: usize| {
        number
            .checked_sub(1)
            .and_then(|number| statement.get(number))
    };
    let is = |token: Option<&Token>, wanted: char| token == Some(&Token::Other(wanted));
    statement.iter().enumerate().find_map(|(number, token)| {
        let (last, next) = (before(number), statement.get(number + 1));
        let is_qualified = is(last, '.') || is(next, '.');
        let is_named = match token {
            // The star of all columns.
            Token::Operator(operator) => operator != "*",
            Token::Word(name) if HIDDEN.iter().any(|(word, _)| word == name) => true,
            Token::Word(name) if is(next, '(') && !NO_FUNCTIONS.contains(&name.as_str()) => true,
            Token::Word(_) | Token::Quoted(_) => {
                is(last, ':')
                    || BEFORE_TABLES
                        .iter()
                        .any(|word| last.is_some_and(|last| last.is(word)))
            }
            Token::Text(_) | Token::Other(_) => false,
        };
        (is_named && !is_qualified).then_some(token)
    })
}

#[test]
fn sessions_are_read_from_a_log() {
    let log = "1.a,ann,tombolo,LOG:  execute sqlx_s_1: SELECT pg_catalog.now()\n\
        1.b,bob,psql,LOG:  statement: SELECT other()\n\
        1.a,ann,tombolo,LOG:  statement: SET search_path = pg_catalog, pg_temp\n\
        1.a,ann,tombolo,DETAIL:  parameters: $1 = '1'\n\
        1.a,ann,tombolo,LOG:  statement: SELECT count(*)\n\tFROM t\n";
    let sessions = sessions(log);
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0].login, "ann");
    assert_eq!(sessions[0].statements.len(), 3);
    assert_eq!(sessions[0].statements[2], "SELECT count(*)\nFROM t");
    assert_eq!(unpinned(&sessions[0]), [""; 0]);
}

#[test]
fn names_before_a_pinned_path_are_found() {
    let pin = "SET search_path = pg_catalog, pg_temp";
    let cases: [(&[&str], bool); 17] = [
        (
            &[
                "SELECT pg_catalog.now()::pg_catalog.text",
                pin,
                "SELECT count(*) FROM t",
            ],
            true,
        ),
        (&["SELECT now()"], false),
        (&["SELECT pg_catalog.now()::text"], false),
        (&["SELECT 1 FROM pg_class"], false),
        (&["SELECT 1 = 1"], false),
        (&["SELECT 1 OPERATOR(pg_catalog.=) 1"], true),
        (&["SELECT 1 WHERE 1 IN (2)"], false),
        (
            &["SET search_path = public, pg_catalog", "SELECT now()"],
            false,
        ),
        (&["SET search_path = pg_catalog", "SELECT now()"], false),
        (
            &[
                pin,
                "SET LOCAL search_path = \"public\", pg_temp",
                "SELECT count(*)",
            ],
            false,
        ),
        (
            &[
                pin,
                "SET LOCAL search_path = \"public\", pg_temp",
                "CREATE TABLE t (a mood)",
            ],
            true,
        ),
        (
            &[
                pin,
                "SET LOCAL search_path = \"public\", pg_temp",
                "COMMIT",
                "SELECT count(*)",
            ],
            true,
        ),
        (
            &[
                pin,
                "BEGIN; SET LOCAL search_path = pg_catalog, \"safe\", pg_temp; SELECT count(*)",
            ],
            true,
        ),
        (
            &[
                pin,
                "SELECT pg_catalog.set_config('search_path', 'public', false); SELECT pg_catalog.now()",
            ],
            true,
        ),
        (
            &[
                pin,
                "SELECT pg_catalog.set_config('search_path', 'public', false); SELECT now()",
            ],
            false,
        ),
        (
            &[
                pin,
                "SELECT pg_catalog.set_config('search_path', 'public', false); CREATE TABLE t (a mood)",
            ],
            false,
        ),
        (
            &[
                pin,
                "SELECT pg_catalog.set_config('search_path', 'public', false); SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', false)",
                "SELECT now()",
            ],
            true,
        ),
    ];
    for (statements, is_safe) in cases {
        let session = Session {
            login: "ann".to_owned(),
            statements: statements.iter().map(|sql| (*sql).to_owned()).collect(),
        };
        assert_eq!(unpinned(&session).is_empty(), is_safe, "{statements:?}");
    }
}

#[test]
fn syntax_that_calls_by_a_name_counts() {
    let mut names = Names::default();
    names.read("SELECT \"lower\"(a) FROM t WHERE a LIKE 'x' AND b IN (1)");
    assert!(names.functions.contains("lower"), "{names:?}");
    assert!(
        names.operators.contains("~~") && names.operators.contains("="),
        "{names:?}"
    );
}
