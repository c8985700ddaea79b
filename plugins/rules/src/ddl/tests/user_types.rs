//! Types that somebody made in the database.

use super::*;

fn made(origin: &str, default: Option<&str>, types: &[&str]) -> (String, Vec<String>) {
    let state = Column {
        default: default.map(str::to_owned),
        ..column("a", LogicalType::Other("x".into()), &format!("pg:{origin}"))
    };
    let types: Vec<String> = types.iter().map(ToString::to_string).collect();
    let plan = create_table(&Dialect::Postgres, &table(vec![state], &[]), &types, &[]).unwrap();
    parsed(&Dialect::Postgres, &plan);
    (plan.before[0].sql.clone(), plan.not_carried)
}

#[test]
fn a_type_that_is_here_too_stays_the_columns_type() {
    for (origin, written) in [
        ("mood", "\"mood\""),
        ("mood[]", "\"mood\"[]"),
        ("\"Größen Typ\"", "\"Größen Typ\""),
        ("\"select\"[]", "\"select\"[]"),
        ("other.\"Mood\"", "\"other\".\"Mood\""),
        ("geometry(Point,4326)", "\"geometry\"(Point,4326)"),
        ("datetime", "\"datetime\""),
    ] {
        let (sql, lost) = made(origin, None, &["else", origin]);
        assert_eq!(sql, format!("CREATE TABLE \"t\" (\"a\" {written})"));
        assert_eq!(lost, [""; 0]);
    }
}

#[test]
fn a_type_that_is_not_here_is_text_and_said() {
    for origin in [
        "mood",
        "mood[]",
        "\"a\"\"b\"",
        "a b",
        "mood(1",
        "mood()",
        "\"a",
        "a..b",
        "",
    ] {
        let known = if origin.starts_with("mood") && origin.len() < 7 && !origin.contains('(') {
            "other.mood"
        } else {
            origin
        };
        let (sql, lost) = made(origin, None, &[known]);
        assert_eq!(sql, "CREATE TABLE \"t\" (\"a\" text)", "{origin}");
        assert_eq!(
            lost,
            [format!("of column \"a\": its type {origin:?} (text here)")]
        );
    }
}

#[test]
fn a_default_of_such_a_type_comes_along_as_its_text() {
    let (sql, lost) = made("\"Mood\"", Some("'it''s'::\"Mood\""), &["\"Mood\""]);
    assert_eq!(sql, "CREATE TABLE \"t\" (\"a\" \"Mood\" DEFAULT 'it''s')");
    assert_eq!(lost, [""; 0]);
    let (_, lost) = made("mood", Some("'ok'::other"), &["mood"]);
    assert_eq!(lost.len(), 1);
    let (_, lost) = made("cents", Some("(1.5)::numeric"), &["cents"]);
    assert_eq!(lost.len(), 1);
}
