//! User-defined types.

use super::*;

fn create_column(origin: &str, default: Option<&str>, types: &[&str]) -> (String, Vec<String>) {
    let state = Column {
        default: default.map(str::to_owned),
        ..column("a", LogicalType::Other("x".into()), &format!("pg:{origin}"))
    };
    let types: Vec<String> = types.iter().map(ToString::to_string).collect();
    let plan = create_table(
        &Dialect::Postgres,
        &table(vec![state], &[]),
        &options(&types, &[]),
    )
    .unwrap();
    parsed(&Dialect::Postgres, &plan);
    (plan.before[0].sql.clone(), plan.not_carried)
}

#[test]
fn a_type_that_the_target_has_is_kept() {
    for (origin, written) in [
        ("mood", "\"mood\""),
        ("mood[]", "\"mood\"[]"),
        ("\"Größen Typ\"", "\"Größen Typ\""),
        ("\"select\"[]", "\"select\"[]"),
        ("other.\"Mood\"", "\"other\".\"Mood\""),
        ("geometry(Point,4326)", "\"geometry\"(Point,4326)"),
        ("datetime", "\"datetime\""),
    ] {
        let (sql, lost) = create_column(origin, None, &["else", origin]);
        assert_eq!(sql, format!("CREATE TABLE \"t\" (\"a\" {written})"));
        assert_eq!(lost, [""; 0]);
    }
}

#[test]
fn a_type_that_the_target_lacks_becomes_text_and_is_named() {
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
        let (sql, lost) = create_column(origin, None, &[known]);
        assert_eq!(sql, "CREATE TABLE \"t\" (\"a\" text)", "{origin}");
        assert_eq!(
            lost,
            [format!(
                "of column \"a\": its type {origin:?} (created as text)"
            )]
        );
    }
}

#[test]
fn a_default_of_a_user_defined_type_is_kept_as_text() {
    let (sql, lost) = create_column("\"Mood\"", Some("'it''s'::\"Mood\""), &["\"Mood\""]);
    assert_eq!(sql, "CREATE TABLE \"t\" (\"a\" \"Mood\" DEFAULT 'it''s')");
    assert_eq!(lost, [""; 0]);
    let (_, lost) = create_column("mood", Some("'ok'::other"), &["mood"]);
    assert_eq!(lost.len(), 1);
    let (_, lost) = create_column("cents", Some("(1.5)::numeric"), &["cents"]);
    assert_eq!(lost.len(), 1);
}

#[test]
fn a_domain_becomes_itself_or_its_base_type() {
    let table = || {
        table(
            vec![
                column("d", LogicalType::Decimal, "pg:cents over numeric(12,2)"),
                column("b", LogicalType::Boolean, "pg:flag over boolean"),
                column(
                    "l",
                    LogicalType::Other("integer[]".into()),
                    "pg:\"a over b\" over integer[]",
                ),
            ],
            &[],
        )
    };
    let known = ["cents".to_owned(), "\"a over b\"".to_owned()];
    let plan = create_table(&Dialect::Postgres, &table(), &options(&known, &[])).unwrap();
    let sql = &plan.before[0].sql;
    for part in ["\"d\" \"cents\"", "\"b\" boolean", "\"l\" \"a over b\""] {
        assert!(sql.contains(part), "{part}: {sql}");
    }
    let plan = create_table(&Dialect::Postgres, &table(), &options(&[], &[])).unwrap();
    let sql = &plan.before[0].sql;
    for part in ["\"d\" numeric(12,2)", "\"b\" boolean", "\"l\" integer[]"] {
        assert!(sql.contains(part), "{part}: {sql}");
    }
    assert_eq!(plan.not_carried.len(), 3);
    assert!(
        plan.not_carried[0].contains("\"cents\""),
        "{:?}",
        plan.not_carried
    );
}
