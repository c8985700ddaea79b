//! Tests the enums of described tables, and of new ones.

use super::*;
use crate::bindings::types::EnumType;

fn mood(labels: &[&str]) -> CheckedStatement {
    let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
    let sql = format!("CREATE TYPE \"mood\" AS ENUM ('{}')", labels.join("', '"));
    let name = "mood".to_owned();
    CheckedStatement::of_enum(sql, EnumType { name, labels })
}

fn moody(run: &str, labels: &[&str]) -> TableWrite {
    let table = format!("moody_{run}");
    let wanted = announced(&table, &[("e", LogicalType::Text)], &[]);
    let create = CheckedStatement::new(format!("CREATE TABLE {table} (e mood)"));
    TableWrite {
        run: run.to_owned(),
        create: Some(vec![mood(labels), create]),
        ..table_write(&wanted, append())
    }
}

fn append() -> SetPlan {
    SetPlan {
        key: Vec::new(),
        regenerate_key: false,
        update: None,
    }
}

#[tokio::test]
async fn schemas_carry_the_enums_that_their_columns_have() {
    let many: Vec<String> = (0..2_001).map(|number| format!("'{number}'")).collect();
    let Some(site) = Site::new(&format!(
        "CREATE TYPE mood AS ENUM ('b', 'a'); CREATE TYPE \"Z\" AS ENUM ('it''s'); CREATE TYPE unused AS ENUM ('x'); \
         CREATE TYPE many AS ENUM ({}); CREATE DOMAIN calm AS mood; \
         CREATE TABLE t (a mood, b \"Z\"[], c mood[], d many, e calm, f text); CREATE TABLE plain (a integer, e calm)",
        many.join(", ")
    ))
    .await
    else {
        return;
    };
    let described = site.database.describe("t").await.unwrap();
    let enums: Vec<(String, Vec<String>)> = described
        .enums
        .into_iter()
        .map(|kind| (kind.name, kind.labels))
        .collect();
    let labels = |labels: &[&str]| labels.iter().map(|&label| label.to_owned()).collect();
    assert_eq!(
        enums,
        [
            ("\"Z\"".to_owned(), labels(&["it's"])),
            ("mood".to_owned(), labels(&["b", "a"])),
        ]
    );
    let plain = site.database.describe("plain").await.unwrap();
    assert!(plain.enums.is_empty());
}

#[tokio::test]
async fn an_enum_that_exists_is_used_and_another_type_of_its_name_refused() {
    let Some(mut site) = Site::new("").await else {
        return;
    };
    let mut target = site.target().await;
    drop(target.begin_table(moody("one", &["a", "b"])).await.unwrap());
    drop(target.begin_table(moody("two", &["a", "b"])).await.unwrap());
    for labels in [&["b", "a"][..], &["a"]] {
        let error = target
            .begin_table(moody("three", labels))
            .await
            .err()
            .unwrap();
        assert!(
            matches!(&error, DatabaseError::TypeTaken { name, .. } if name == "mood"),
            "{error}"
        );
    }
    assert_eq!(
        site.value("SELECT to_regclass('moody_three')").await,
        "NULL"
    );
    site.run("DROP TABLE moody_one, moody_two; DROP TYPE mood; CREATE TABLE mood (a integer)")
        .await;
    let error = target
        .begin_table(moody("four", &["a"]))
        .await
        .err()
        .unwrap();
    assert!(matches!(error, DatabaseError::TypeTaken { .. }), "{error}");
}

#[tokio::test]
async fn two_sessions_create_the_same_enum_once() {
    let Some(mut site) = Site::new("").await else {
        return;
    };
    for round in 0..5 {
        let (mut one, mut other) = (site.target().await, site.target().await);
        let (left, right) = (format!("left_{round}"), format!("right_{round}"));
        let (left, right) = tokio::join!(
            one.begin_table(moody(&left, &["a"])),
            other.begin_table(moody(&right, &["a"]))
        );
        left.unwrap();
        right.unwrap();
        site.run("DROP TYPE mood CASCADE").await;
    }
}
