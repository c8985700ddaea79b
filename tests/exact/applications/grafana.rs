//! A Grafana server: its tables as xorm makes them in both databases.

use super::move_and_compare;

const FILLED: &str = r#"
CREATE TABLE `org` (`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `version` INTEGER NOT NULL, `name` TEXT NOT NULL, `created` DATETIME NOT NULL, `updated` DATETIME NOT NULL);
CREATE TABLE `user` (`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `version` INTEGER NOT NULL, `login` TEXT NOT NULL, `email` TEXT NOT NULL, `name` TEXT NULL, `password` TEXT NULL, `salt` TEXT NULL, `org_id` INTEGER NOT NULL, `is_admin` INTEGER NOT NULL, `email_verified` INTEGER NULL, `theme` TEXT NULL, `created` DATETIME NOT NULL, `updated` DATETIME NOT NULL, `last_seen_at` DATETIME NULL, `is_disabled` INTEGER NOT NULL DEFAULT 0, `uid` TEXT NULL);
CREATE UNIQUE INDEX `UQE_user_login` ON `user` (`login`);
CREATE TABLE `dashboard` (`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `version` INTEGER NOT NULL, `slug` TEXT NOT NULL, `title` TEXT NOT NULL, `data` TEXT NOT NULL, `org_id` INTEGER NOT NULL, `created` DATETIME NOT NULL, `updated` DATETIME NOT NULL, `updated_by` INTEGER NULL, `gnet_id` INTEGER NULL, `plugin_id` TEXT NULL, `folder_id` INTEGER NOT NULL DEFAULT 0, `is_folder` INTEGER NOT NULL DEFAULT 0, `has_acl` INTEGER NOT NULL DEFAULT 0, `uid` TEXT NULL, `deleted` DATETIME NULL);
CREATE TABLE `alert` (`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `version` INTEGER NOT NULL, `dashboard_id` INTEGER NOT NULL, `org_id` INTEGER NOT NULL, `name` TEXT NOT NULL, `settings` TEXT NOT NULL, `frequency` INTEGER NOT NULL, `silenced` INTEGER NOT NULL, `execution_error` TEXT NOT NULL, `eval_data` TEXT NULL, `eval_date` DATETIME NULL, `new_state_date` DATETIME NOT NULL, `state_changes` INTEGER NOT NULL, `created` DATETIME NOT NULL, `updated` DATETIME NOT NULL);
CREATE TABLE `annotation` (`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `org_id` INTEGER NOT NULL, `text` TEXT NOT NULL, `data` TEXT NOT NULL, `epoch` INTEGER NOT NULL, `created` INTEGER NULL DEFAULT 0);
CREATE TABLE `secrets` (`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `namespace` TEXT NOT NULL, `value` BLOB NULL, `active` INTEGER NOT NULL, `created` DATETIME NOT NULL);
INSERT INTO `org` VALUES (1, 0, 'Main Org.', '2024-05-06 07:08:09', '2024-05-06T07:08:09Z'), (2, 3, 'Ünited', '2024-05-06 07:08:09.120000000+00:00', '2024-05-06 07:08:09+00:00');
INSERT INTO `user` SELECT value, 0, 'login' || value, 'u' || value || '@localhost', NULL, 'hash', 'salt', 1 + value % 2, value % 2, CASE value % 3 WHEN 0 THEN NULL ELSE 0 END, '', '2024-05-06 07:08:' || printf('%02d', value), '2024-05-06 07:08:09', CASE value % 2 WHEN 0 THEN '2014-05-06 07:08:09+00:00' ELSE '0001-01-01T00:00:00Z' END, value % 5 = 0, 'u' || value
  FROM (WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 40) SELECT value FROM n);
INSERT INTO `dashboard` SELECT id, 1, 'slug-' || id, 'Title "' || id || '"', '{"panels":[{"id":' || id || ',"title":"x\\y"}]}', org_id, created, updated, NULL, NULL, '', 0, id % 7 = 0, 0, NULL, CASE id % 4 WHEN 0 THEN '2024-06-07 08:09:10.5+00:00' END FROM `user`;
INSERT INTO `alert` SELECT id, 0, id, org_id, 'Alert ' || id, '{}', 60, id % 2, ' ', NULL, CASE id % 2 WHEN 0 THEN updated END, created, 0, created, updated FROM `dashboard`;
INSERT INTO `annotation` SELECT id, org_id, 'text', '{}', 1714979289680 + id, CASE id % 2 WHEN 0 THEN 0 ELSE 1714979289680 END FROM `dashboard`;
INSERT INTO `secrets` VALUES (1, 'ns', x'00ff10', 1, '2024-05-06 07:08:09'), (2, 'ns', NULL, 0, '2024-05-06 07:08:09'), (3, '', x'', 1, '2024-05-06 07:08:09.000');
"#;

const SCHEMA: &str = r#"
CREATE TABLE "org" ("id" SERIAL PRIMARY KEY NOT NULL, "version" INTEGER NOT NULL, "name" VARCHAR(190) NOT NULL, "created" TIMESTAMP NOT NULL, "updated" TIMESTAMP NOT NULL);
CREATE TABLE "user" ("id" SERIAL PRIMARY KEY NOT NULL, "version" INTEGER NOT NULL, "login" VARCHAR(190) NOT NULL, "email" VARCHAR(190) NOT NULL, "name" VARCHAR(255) NULL, "password" VARCHAR(255) NULL, "salt" VARCHAR(50) NULL, "org_id" BIGINT NOT NULL, "is_admin" BOOL NOT NULL, "email_verified" BOOL NULL, "theme" VARCHAR(255) NULL, "created" TIMESTAMP NOT NULL, "updated" TIMESTAMP NOT NULL, "last_seen_at" TIMESTAMP NULL, "is_disabled" BOOL NOT NULL DEFAULT false, "uid" VARCHAR(40) NULL);
CREATE UNIQUE INDEX "UQE_user_login" ON "user" ("login");
CREATE TABLE "dashboard" ("id" SERIAL PRIMARY KEY NOT NULL, "version" INTEGER NOT NULL, "slug" VARCHAR(189) NOT NULL, "title" VARCHAR(189) NOT NULL, "data" TEXT NOT NULL, "org_id" BIGINT NOT NULL, "created" TIMESTAMP NOT NULL, "updated" TIMESTAMP NOT NULL, "updated_by" INTEGER NULL, "gnet_id" BIGINT NULL, "plugin_id" VARCHAR(189) NULL, "folder_id" BIGINT NOT NULL DEFAULT 0, "is_folder" BOOL NOT NULL DEFAULT false, "has_acl" BOOL NOT NULL DEFAULT false, "uid" VARCHAR(40) NULL, "deleted" TIMESTAMP NULL);
CREATE TABLE "alert" ("id" SERIAL PRIMARY KEY NOT NULL, "version" BIGINT NOT NULL, "dashboard_id" BIGINT NOT NULL, "org_id" BIGINT NOT NULL, "name" VARCHAR(255) NOT NULL, "settings" TEXT NOT NULL, "frequency" BIGINT NOT NULL, "silenced" BOOL NOT NULL, "execution_error" TEXT NOT NULL, "eval_data" TEXT NULL, "eval_date" TIMESTAMP NULL, "new_state_date" TIMESTAMP NOT NULL, "state_changes" INTEGER NOT NULL, "created" TIMESTAMP NOT NULL, "updated" TIMESTAMP NOT NULL);
CREATE TABLE "annotation" ("id" SERIAL PRIMARY KEY NOT NULL, "org_id" BIGINT NOT NULL, "text" TEXT NOT NULL, "data" TEXT NOT NULL, "epoch" BIGINT NOT NULL, "created" BIGINT NULL DEFAULT 0);
CREATE TABLE "secrets" ("id" SERIAL PRIMARY KEY NOT NULL, "namespace" VARCHAR(255) NOT NULL, "value" BYTEA NULL, "active" BOOL NOT NULL, "created" TIMESTAMP NOT NULL);
"#;

#[test]
fn a_grafana_server_moves_to_postgres_with_one_command() {
    move_and_compare(FILLED, SCHEMA, &["--conversion", "parse"]);
}
