//! PostgreSQL's built-in types with values that are easily changed on the way.

use super::postgres::Database;
use super::sqlite::{literal, quote};

/// One type as it is declared, and literals of it; a row with NULL comes with each.
pub type Kind = (&'static str, &'static [&'static str]);

/// Numbers, truth values, texts and bytes.
const PLAIN: &[Kind] = &[
    ("boolean", &["true", "false"]),
    ("smallint", &["-32768", "0", "32767"]),
    ("integer", &["-2147483648", "0", "2147483647"]),
    (
        "bigint",
        &[
            "-9223372036854775808",
            "0",
            "9007199254740993",
            "9223372036854775807",
        ],
    ),
    (
        "numeric",
        &[
            "NaN",
            "Infinity",
            "-Infinity",
            "0",
            "0.000",
            "-0.0001",
            "1.10",
            "10000",
            "1e131071",
            "1e-16383",
            "12345678901234567890123456789012345678.12345678901234567890123456789012345678",
        ],
    ),
    ("numeric(12,2)", &["-9999999999.99", "0", "1.10", "NaN"]),
    ("numeric(1000,500)", &["1e499", "1e-500", "3.14"]),
    ("numeric(3,-2)", &["12300", "-99900"]),
    ("numeric(2,5)", &["0.00099", "-0.00001"]),
    (
        "real",
        &[
            "NaN",
            "Infinity",
            "-Infinity",
            "-0",
            "0",
            "1e-45",
            "3.4028235e38",
            "0.1",
            "16777217",
        ],
    ),
    (
        "double precision",
        &[
            "NaN",
            "Infinity",
            "-Infinity",
            "-0",
            "0",
            "5e-324",
            "2.2250738585072014e-308",
            "1.7976931348623157e308",
            "0.1",
            "9007199254740993",
            "-1e-300",
        ],
    ),
    (
        "text",
        &[
            "",
            " ",
            "2024-02-29",
            "007",
            "1e5",
            "NULL",
            "\\N",
            "\\.",
            "a\tb\nc\r\nd",
            "\u{1}",
            "🏝",
            "e\u{301}",
            "'\"\\",
        ],
    ),
    ("character varying", &["", "x  "]),
    ("character varying(5)", &["", "a  ", "🏝🏝🏝🏝🏝"]),
    ("character(6)", &["", "ab", "  a", "🏝", "abcdef"]),
    ("bpchar", &["", "ab  "]),
    ("\"char\"", &["", "x", " ", "\\377"]),
    ("name", &["", "Größe", "a\"b"]),
    ("bytea", &["", "\\x00", "\\x00ff41", "\\x5c78"]),
    (
        "uuid",
        &[
            "00000000-0000-0000-0000-000000000000",
            "A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11",
        ],
    ),
    (
        "json",
        &[
            "{ \"b\" : 1,\n \"a\":1.0, \"b\": 2 }",
            "null",
            " [1 , 2]",
            "1e400",
            "\"\\u0041\"",
            "\"\\ud83d\\ude00\"",
            "\"\\u0000\"",
        ],
    ),
    (
        "jsonb",
        &[
            "{\"b\": 1, \"a\": [1.10, null], \"\": {}}",
            "null",
            "12345678901234567890123456789.10",
            "1e400",
            "[]",
            "\"\"",
            "-0.00",
        ],
    ),
    (
        "xml",
        &[
            "",
            "<a>1</a>",
            "text",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a b='ü'/>",
            "<a/><b/>",
            "<!DOCTYPE a><a/>",
        ],
    ),
    (
        "money",
        &[
            "-92233720368547758.08",
            "92233720368547758.07",
            "0",
            "-0.01",
        ],
    ),
    ("oid", &["0", "4294967295"]),
    ("pg_lsn", &["0/0", "FFFFFFFF/FFFFFFFF"]),
    ("bit", &["0", "1"]),
    ("bit(5)", &["00000", "10101"]),
    ("bit varying", &["", "101010101"]),
    ("bit varying(5)", &["", "101"]),
];

/// Dates and times.
const TIMES: &[Kind] = &[
    (
        "date",
        &[
            "-infinity",
            "infinity",
            "4713-01-01 BC",
            "0001-12-31 BC",
            "0001-01-01",
            "2024-02-29",
            "5874897-12-31",
        ],
    ),
    ("time", &["00:00", "24:00:00", "23:59:59.999999"]),
    ("time(0) without time zone", &["23:59:59", "24:00:00"]),
    (
        "timetz",
        &[
            "00:00+15:59:59",
            "24:00:00-15:59:59",
            "04:05:06.789012+05:45",
        ],
    ),
    ("time(3) with time zone", &["04:05:06.789+02"]),
    (
        "timestamp",
        &[
            "-infinity",
            "infinity",
            "4713-01-01 BC",
            "0044-03-15 12:00:00.000001 BC",
            "1999-12-31 23:59:59.999999",
            "2024-02-29 23:59:59",
            "294276-12-31 23:59:59.999999",
        ],
    ),
    (
        "timestamp(3) without time zone",
        &["2024-01-01 10:00:00.123"],
    ),
    (
        "timestamptz",
        &[
            "-infinity",
            "infinity",
            "4713-01-01 00:00+00 BC",
            "2024-03-10 02:30-05",
            "294276-12-31 23:59:59.999999+00",
            "1883-11-18 12:03:57-04:56:02",
        ],
    ),
    ("timestamp(0) with time zone", &["2024-01-01 10:00:00+14"]),
    (
        "interval",
        &[
            "0",
            "1 year -2 days 03:04:05.6",
            "-1 mons +1 day",
            "178000000 years",
            "-178000000 years",
            "00:00:00.000001",
            "-00:00:01",
            "1 mon 31 days 25:00:00",
        ],
    ),
    ("interval(0)", &["1 day 00:00:01"]),
    ("interval year to month", &["1 year 2 mons"]),
    ("interval day to second(3)", &["1 day 00:00:01.123"]),
];

/// What has a text form only.
const PRINTED: &[Kind] = &[
    (
        "inet",
        &[
            "10.0.0.0/8",
            "10.0.0.1",
            "::1",
            "::ffff:1.2.3.4/128",
            "fe80::/10",
            "0.0.0.0/0",
        ],
    ),
    ("cidr", &["10.0.0.0/8", "::/0", "10.0.0.1/32"]),
    ("macaddr", &["08:00:2b:01:02:03"]),
    ("macaddr8", &["08:00:2b:01:02:03:04:05"]),
    (
        "point",
        &[
            "(0.1,-0)",
            "(NaN,Infinity)",
            "(5e-324,1.7976931348623157e308)",
        ],
    ),
    ("line", &["{1,-1,0.1}"]),
    ("lseg", &["[(0,0),(1,0.1)]"]),
    ("box", &["(1,1),(0,0)", "(0,0),(0,0)"]),
    ("path", &["((0,0),(1,1))", "[(0,0),(1,1),(2,0.3)]"]),
    ("polygon", &["((0,0),(1,1),(0,1))"]),
    ("circle", &["<(0.1,0.2),0.3>", "<(0,0),0>"]),
    ("tsvector", &["", "'a':1A,2 'it''s':3B 'ü ,':16383C"]),
    ("tsquery", &["", "'a' & !'b c':*A <2> 'it''s' | 'd'"]),
    ("jsonpath", &["$.\"a b\"[*]?(@ > 1.10)", "strict $"]),
    ("int4range", &["empty", "[1,5)", "(,)", "[1,)", "(,5)"]),
    ("int8range", &["[-9223372036854775808,9223372036854775807)"]),
    (
        "numrange",
        &["[1.10,1.100]", "(NaN,]", "(-Infinity,0.5)", "empty"],
    ),
    (
        "daterange",
        &["[-infinity,infinity)", "[2024-01-01,2024-02-01)"],
    ),
    ("tsrange", &["[\"4713-01-01 00:00:00 BC\",infinity)"]),
    ("tstzrange", &["(\"2024-01-01 00:00:00.000001+05:45\",)"]),
    ("int4multirange", &["{}", "{[1,3),[5,9)}", "{(,)}"]),
    ("int8multirange", &["{[1,3)}"]),
    ("nummultirange", &["{[1.10,1.20],(2,)}"]),
    ("datemultirange", &["{[2024-01-01,2024-02-01)}"]),
    (
        "tsmultirange",
        &["{[\"2024-01-01 00:00:00\",\"2024-01-02 00:00:00\")}"],
    ),
    (
        "tstzmultirange",
        &["{[\"2024-01-01 00:00:00+00\",infinity]}"],
    ),
    ("regclass", &["pg_class"]),
    ("regtype", &["integer", "numeric[]", "\"char\"", "0"]),
    ("regproc", &["now", "0"]),
    ("regprocedure", &["abs(bigint)"]),
    ("regoper", &["||/"]),
    ("regoperator", &["+(integer,integer)"]),
    ("regnamespace", &["pg_catalog"]),
    ("regrole", &["pg_monitor"]),
    ("regconfig", &["english"]),
    ("regdictionary", &["simple"]),
    ("regcollation", &["\"C\""]),
    ("xid", &["0", "4294967295"]),
    ("xid8", &["18446744073709551615"]),
    ("cid", &["7"]),
    ("tid", &["(4294967295,65535)"]),
    ("pg_snapshot", &["10:20:10,14,15"]),
    ("txid_snapshot", &["10:20:10,14,15"]),
    ("oidvector", &["", "1 2 3"]),
    ("int2vector", &["1 -2 3"]),
    ("refcursor", &["", "a b"]),
];

/// Arrays: with NULLs, nested, empty, with bounds of their own, and of types that have to be quoted in them.
const ARRAYS: &[Kind] = &[
    (
        "integer[]",
        &[
            "{}",
            "{1,NULL,-3}",
            "[0:1][1:2]={{1,2},{3,NULL}}",
            "[-2147483647:-2147483646]={1,2}",
            "{{{1}},{{2}}}",
        ],
    ),
    (
        "text[]",
        &[
            "{}",
            "{\"\",NULL,\"NULL\",\"a,b\",\"{}\",\"\\\"\\\\\"}",
            "{🏝}",
        ],
    ),
    ("boolean[]", &["{t,f,NULL}"]),
    ("numeric(5,2)[]", &["{1.10,NaN}"]),
    ("numeric[]", &["{1.10,1.100,Infinity}"]),
    ("double precision[]", &["{NaN,-0,5e-324,Infinity,0.1}"]),
    ("real[]", &["{NaN,-0,1e-45,0.1}"]),
    ("character(3)[]", &["{a,\"b  \",abc}"]),
    ("character varying(3)[]", &["{abc,\"d ,\"}"]),
    ("\"char\"[]", &["{a,\" \"}"]),
    ("bytea[]", &["{\"\\\\x00ff\",\"\\\\x\"}"]),
    ("date[]", &["{infinity,\"4713-01-01 BC\"}"]),
    (
        "timestamp(3) without time zone[]",
        &["{\"2024-01-01 10:00:00.123\"}"],
    ),
    ("timestamptz[]", &["{\"2024-01-01 10:00:00+05\",-infinity}"]),
    ("interval[]", &["{\"1 day -00:00:01\"}"]),
    ("interval day to second(3)[]", &["{\"1 day 00:00:01.123\"}"]),
    ("json[]", &["{\"{ \\\"a\\\":1, \\\"a\\\":2}\"}"]),
    ("jsonb[]", &["{\"{\\\"a\\\": 1.10}\",\"null\"}"]),
    (
        "xml[]",
        &["{<a/>,\"<?xml version=\\\"1.0\\\" encoding=\\\"UTF-8\\\"?><b/>\"}"],
    ),
    ("uuid[]", &["{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"]),
    ("money[]", &["{-92233720368547758.08}"]),
    ("bit(3)[]", &["{101}"]),
    ("box[]", &["{(1,1),(0,0);(2,2),(0,0)}"]),
    ("int4range[]", &["{\"[1,5)\",empty}"]),
    ("int4multirange[]", &["{\"{[1,5)}\"}"]),
    ("inet[]", &["{::1,10.0.0.0/8}"]),
    ("name[]", &["{a,\"b c\"}"]),
    ("regclass[]", &["{pg_class}"]),
    ("tsvector[]", &["{\"'a':1\"}"]),
];

/// A table for each kind of types, and the types: a column for each.
pub const TABLES: [(&str, &[Kind]); 4] = [
    ("Größe \"plain\"", PLAIN),
    ("select", TIMES),
    ("Printed As Text", PRINTED),
    ("列表", ARRAYS),
];

/// Makes these tables, with the values.
pub fn fill(database: &Database) {
    for (table, kinds) in TABLES {
        database.run(&create(table, kinds));
        database.run(&insert(table, kinds));
    }
}

/// The statement that makes such a table; a column is called like its type.
pub fn create(table: &str, kinds: &[Kind]) -> String {
    let columns = kinds
        .iter()
        .map(|(kind, _)| format!(", {} {kind}", quote(kind)));
    let columns: String = columns.collect();
    format!(
        "CREATE TABLE {} (\"Der Schlüssel\" integer PRIMARY KEY{columns})",
        quote(table)
    )
}

fn insert(table: &str, kinds: &[Kind]) -> String {
    let most = kinds
        .iter()
        .map(|(_, values)| values.len())
        .max()
        .unwrap_or_default();
    // The last row is all NULL.
    let row = |row: usize| {
        let values = kinds.iter().map(|(_, values)| {
            values
                .get(row)
                .map_or("NULL".to_owned(), |value| literal(value))
        });
        let values: Vec<String> = values.collect();
        format!("({row}, {})", values.join(", "))
    };
    let rows: Vec<String> = (0..=most).map(row).collect();
    format!(
        "SET xmloption = content; INSERT INTO {} VALUES {}",
        quote(table),
        rows.join(", ")
    )
}
