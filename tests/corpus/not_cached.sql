-- Statements that must not be cached: their dialect, and words of the reason.

-- insert | postgresql | not a read
INSERT INTO t VALUES (1)

-- insert_select | postgresql | not a read
INSERT INTO t SELECT * FROM u

-- insert_returning | postgresql | not a read
INSERT INTO t (a) VALUES (1) RETURNING id

-- upsert | postgresql | not a read
INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 2 RETURNING *

-- update | postgresql | not a read
UPDATE t SET a = 1 FROM u WHERE t.id = u.id

-- delete_returning | sqlite | not a read
DELETE FROM t WHERE a = 1 RETURNING *

-- merge | mssql | not a read
MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN UPDATE SET a = u.a WHEN NOT MATCHED THEN INSERT (id) VALUES (u.id);

-- replace | mysql | not a read
REPLACE INTO t VALUES (1)

-- truncate | postgresql | not a read
TRUNCATE t RESTART IDENTITY

-- writing_with_insert | postgresql | not a read
WITH new AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM new

-- writing_with_update | postgresql | not a read
WITH a AS (SELECT 1), b AS (UPDATE t SET x = 1 RETURNING id) SELECT * FROM a, b

-- writing_with_delete | postgresql | not a read
WITH gone AS MATERIALIZED (DELETE FROM queue WHERE id = 1 RETURNING *) SELECT count(*) FROM gone

-- with_before_a_write | mssql | not a read
WITH x AS (SELECT id FROM t) DELETE FROM u WHERE id IN (SELECT id FROM x)

-- select_into | postgresql | not a read
SELECT * INTO TEMP copy FROM t

-- select_into_mssql | mssql | not a read
SELECT a, b INTO #copy FROM t

-- into_outfile | mysql |
SELECT * FROM t INTO OUTFILE '/tmp/x'

-- code_in_a_comment | mysql |
SELECT * FROM t /*!50000 INTO OUTFILE '/tmp/x' */

-- for_update | postgresql | not a read
SELECT * FROM t WHERE id = 1 FOR UPDATE

-- for_update_skip_locked | postgresql | not a read
SELECT * FROM (SELECT * FROM queue LIMIT 1 FOR UPDATE SKIP LOCKED) q

-- for_share | postgresql | not a read
SELECT * FROM t FOR SHARE

-- for_key_share | postgresql | not a read
SELECT * FROM t FOR KEY SHARE OF t NOWAIT

-- for_no_key_update | postgresql | not a read
SELECT * FROM t FOR NO KEY UPDATE

-- lock_in_share_mode | mysql | not a read
SELECT * FROM t LOCK IN SHARE MODE

-- create_table | postgresql | not a read
CREATE TABLE x AS SELECT * FROM t

-- create_temp_table | sqlite | not a read
CREATE TEMP TABLE x (a)

-- create_view | duckdb | not a read
CREATE OR REPLACE VIEW v AS SELECT 1

-- drop | postgresql | not a read
DROP TABLE IF EXISTS t CASCADE

-- alter | postgresql | not a read
ALTER TABLE t ADD COLUMN b int

-- grant | postgresql | not a read
GRANT SELECT ON t TO PUBLIC

-- comment_on | postgresql | not a read
COMMENT ON TABLE t IS 'x'

-- call | postgresql | not a read
CALL refresh_all(1)

-- exec | mssql | not a read
EXEC sp_who2

-- do | postgresql | not a read
DO $$ BEGIN PERFORM 1; END $$

-- copy_to | postgresql | not a read
COPY (SELECT * FROM t) TO STDOUT

-- copy_duckdb | duckdb | not a read
COPY t TO 't.parquet' (FORMAT parquet)

-- attach | duckdb | not a read
ATTACH 'other.db' AS other

-- install | duckdb | not a read
INSTALL httpfs

-- use | duckdb | not a read
USE other.main

-- set | postgresql | not a read
SET search_path TO other

-- set_local | postgresql | not a read
SET LOCAL ROLE analyst

-- reset | duckdb | not a read
RESET memory_limit

-- set_variable | duckdb | not a read
SET VARIABLE day = '2024-01-01'

-- lock_table | postgresql | not a read
LOCK TABLE t IN EXCLUSIVE MODE

-- notify | postgresql |
NOTIFY channel, 'payload'

-- listen | postgresql |
LISTEN channel

-- vacuum | sqlite | not a read
VACUUM

-- analyze | postgresql | not a read
ANALYZE t

-- refresh_view | postgresql | not a read
REFRESH MATERIALIZED VIEW v

-- begin | postgresql |
BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE

-- declare_cursor | postgresql |
DECLARE c CURSOR FOR SELECT * FROM t

-- fetch | postgresql |
FETCH 10 FROM c

-- pragma_with_a_value | sqlite | not a read
PRAGMA journal_mode = WAL

-- pragma_of_a_table | sqlite | describes
PRAGMA table_info(t)

-- explain | postgresql | describes
EXPLAIN SELECT * FROM t

-- explain_analyze_a_write | postgresql | not a read
EXPLAIN (ANALYZE, BUFFERS) DELETE FROM t

-- show | mysql | describes
SHOW TABLES

-- several | postgresql | several
SELECT 1; SELECT 2

-- several_with_a_write | postgresql | several
SELECT * FROM t; DROP TABLE t

-- several_after_a_comment | sqlite | several
SELECT 1 /* ; */; -- and
DELETE FROM t

-- random | postgresql | another one each time
SELECT * FROM t ORDER BY random() LIMIT 10

-- rand | mysql | another one each time
SELECT RAND(), t.* FROM t

-- uuid | duckdb | another one each time
SELECT uuid(), * FROM t

-- gen_random_uuid | postgresql | another one each time
SELECT gen_random_uuid() AS id FROM t

-- newid | mssql | another one each time
SELECT TOP 10 * FROM t ORDER BY NEWID()

-- tablesample | postgresql | samples
SELECT * FROM t TABLESAMPLE BERNOULLI (1)

-- tablesample_bigquery | bigquery | samples
SELECT * FROM `p.d.t` TABLESAMPLE SYSTEM (10 PERCENT)

-- using_sample | duckdb | samples
SELECT * FROM t USING SAMPLE 10%

-- sample_snowflake | snowflake | samples
SELECT * FROM t SAMPLE (10)

-- nextval | postgresql | more than read
SELECT nextval('ids')

-- next_value_for | mssql | more than read
SELECT NEXT VALUE FOR dbo.ids

-- nextval_oracle | oracle | more than read
SELECT ids.NEXTVAL FROM dual

-- advisory_lock | postgresql | more than read
SELECT pg_advisory_lock(1), count(*) FROM t

-- set_config | postgresql | more than read
SELECT set_config('role', 'admin', false)

-- pg_notify | postgresql | more than read
SELECT pg_notify('channel', 'payload')

-- pg_sleep | postgresql | more than read
SELECT pg_sleep(1)

-- dblink | postgresql | more than read
SELECT * FROM dblink('dbname=other', 'DELETE FROM t RETURNING 1') AS x (a int)

-- get_lock | mysql | more than read
SELECT GET_LOCK('a', 10)

-- updlock | mssql | locks what it reads
SELECT * FROM t WITH (UPDLOCK, HOLDLOCK) WHERE id = 1

-- user_variable | mysql | variable of the session
SELECT * FROM t WHERE a = @a

-- user_variable_set | mysql | variable of the session
SELECT @n := @n + 1 AS n, t.* FROM t

-- system_variable | mysql | variable of the session
SELECT @@session.sql_mode

-- batch_variable | mssql | variable of the session
SELECT * FROM t WHERE a = @a

-- snowflake_variable | snowflake | variable of the session
SELECT * FROM IDENTIFIER($name)

-- getvariable | duckdb | session's
SELECT getvariable('day')

-- last_insert_id | mysql | session's
SELECT LAST_INSERT_ID()

-- current_setting | postgresql | session's
SELECT * FROM t WHERE tenant = current_setting('app.tenant')

-- misspelt | postgresql |
SELEKT * FROM t

-- nothing | postgresql | could not be parsed
-- only a comment

-- unknown_command | mysql |
HANDLER t OPEN
