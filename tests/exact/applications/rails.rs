//! A Rails application: `schema.rb` in both databases.

use super::move_and_compare;

/// As the SQLite adapter makes it; older versions wrote truth values as `t` and `f`.
const FILLED: &str = r#"
CREATE TABLE "schema_migrations" ("version" varchar NOT NULL PRIMARY KEY);
CREATE TABLE "ar_internal_metadata" ("key" varchar NOT NULL PRIMARY KEY, "value" varchar, "created_at" datetime(6) NOT NULL, "updated_at" datetime(6) NOT NULL);
CREATE TABLE "accounts" ("id" varchar NOT NULL PRIMARY KEY, "name" varchar(80) NOT NULL, "preferences" json DEFAULT '{}', "created_at" datetime(6) NOT NULL, "updated_at" datetime(6) NOT NULL);
CREATE TABLE "posts" ("id" integer PRIMARY KEY AUTOINCREMENT NOT NULL, "account_id" varchar NOT NULL, "title" varchar DEFAULT '' NOT NULL, "body" text, "published" boolean DEFAULT 0 NOT NULL, "pinned" boolean, "price" decimal(10,2), "rating" float, "views" bigint DEFAULT 0, "opens_at" time, "published_on" date, "settings" json, "cover" blob, "deleted_at" datetime(6), "created_at" datetime(6) NOT NULL, CONSTRAINT "fk_rails_1" FOREIGN KEY ("account_id") REFERENCES "accounts" ("id"));
CREATE INDEX "index_posts_on_account_id" ON "posts" ("account_id");
CREATE TABLE "active_storage_blobs" ("id" integer PRIMARY KEY AUTOINCREMENT NOT NULL, "key" varchar NOT NULL, "filename" varchar NOT NULL, "content_type" varchar, "metadata" text, "service_name" varchar NOT NULL, "byte_size" bigint NOT NULL, "checksum" varchar, "created_at" datetime(6) NOT NULL);
CREATE TABLE "active_storage_attachments" ("id" integer PRIMARY KEY AUTOINCREMENT NOT NULL, "name" varchar NOT NULL, "record_type" varchar NOT NULL, "record_id" bigint NOT NULL, "blob_id" bigint NOT NULL, "created_at" datetime(6) NOT NULL, CONSTRAINT "fk_rails_2" FOREIGN KEY ("blob_id") REFERENCES "active_storage_blobs" ("id"));
INSERT INTO schema_migrations VALUES ('20240506070809'), ('20240506070810');
INSERT INTO ar_internal_metadata VALUES ('environment', 'production', '2024-05-06 07:08:05.680000', '2024-05-06 07:08:05.000000');
INSERT INTO accounts SELECT printf('a0eebc99-9c0b-4ef8-bb6d-6bb9bd38%04x', value), 'Account ' || value,
  CASE value % 4 WHEN 0 THEN '{"theme":"dark","a":[1,2.50,null]}' WHEN 1 THEN '{}' WHEN 2 THEN '7' ELSE NULL END,
  printf('2024-05-06 07:08:%02d.%06d', value % 60, value * 10000), printf('2024-12-31 23:59:59.%06d', value)
  FROM (WITH RECURSIVE n(value) AS (SELECT 0 UNION ALL SELECT value + 1 FROM n WHERE value < 49) SELECT value FROM n);
INSERT INTO posts (account_id, title, body, published, pinned, price, rating, views, opens_at, published_on, settings, cover, deleted_at, created_at)
  SELECT id, 'Post ''' || rowid || '''', 'é' || char(10) || 'x', CASE rowid % 4 WHEN 0 THEN 't' WHEN 1 THEN 'f' WHEN 2 THEN 1 ELSE 0 END,
  CASE rowid % 3 WHEN 0 THEN NULL WHEN 1 THEN 't' ELSE 0 END, rowid * 1.25, rowid / 8.0, rowid * 1000000000, '2000-01-01 12:34:56.' || printf('%06d', rowid * 100),
  date('2024-02-28', '+' || rowid || ' days'), '{"b":1,"a":{"c":"\u00e9"}}', zeroblob(rowid % 5), CASE rowid % 2 WHEN 0 THEN NULL ELSE '2024-05-06 07:08:09.500000' END, created_at FROM accounts;
INSERT INTO active_storage_blobs SELECT id, 'key' || id, 'a.png', 'image/png', '{"identified":true}', 'local', 9000000000 + id, NULL, created_at FROM posts;
INSERT INTO active_storage_attachments SELECT id, 'cover', 'Post', id, id, created_at FROM posts;
"#;

/// As the PostgreSQL adapter makes it.
const SCHEMA: &str = r#"
CREATE TABLE "schema_migrations" ("version" character varying NOT NULL PRIMARY KEY);
CREATE TABLE "ar_internal_metadata" ("key" character varying NOT NULL PRIMARY KEY, "value" character varying, "created_at" timestamp(6) NOT NULL, "updated_at" timestamp(6) NOT NULL);
CREATE TABLE "accounts" ("id" uuid DEFAULT gen_random_uuid() NOT NULL PRIMARY KEY, "name" character varying(80) NOT NULL, "preferences" jsonb DEFAULT '{}', "created_at" timestamp(6) NOT NULL, "updated_at" timestamp(6) NOT NULL);
CREATE TABLE "posts" ("id" bigserial PRIMARY KEY, "account_id" uuid NOT NULL, "title" character varying DEFAULT '' NOT NULL, "body" text, "published" boolean DEFAULT FALSE NOT NULL, "pinned" boolean, "price" decimal(10,2), "rating" float, "views" bigint DEFAULT 0, "opens_at" time, "published_on" date, "settings" jsonb, "cover" bytea, "deleted_at" timestamp(6), "created_at" timestamp(6) NOT NULL, CONSTRAINT "fk_rails_1" FOREIGN KEY ("account_id") REFERENCES "accounts" ("id"));
CREATE INDEX "index_posts_on_account_id" ON "posts" ("account_id");
CREATE TABLE "active_storage_blobs" ("id" bigserial PRIMARY KEY, "key" character varying NOT NULL, "filename" character varying NOT NULL, "content_type" character varying, "metadata" text, "service_name" character varying NOT NULL, "byte_size" bigint NOT NULL, "checksum" character varying, "created_at" timestamp(6) NOT NULL);
CREATE TABLE "active_storage_attachments" ("id" bigserial PRIMARY KEY, "name" character varying NOT NULL, "record_type" character varying NOT NULL, "record_id" bigint NOT NULL, "blob_id" bigint NOT NULL, "created_at" timestamp(6) NOT NULL, CONSTRAINT "fk_rails_2" FOREIGN KEY ("blob_id") REFERENCES "active_storage_blobs" ("id"));
"#;

#[test]
fn a_rails_application_moves_to_postgres_with_one_command() {
    move_and_compare(FILLED, SCHEMA, &["--conversion", "parse"]);
}
