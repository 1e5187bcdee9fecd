-- Queries that must be cached: their dialect, and what they ask for (plain, daily or volatile).

-- year_of_a_date | clickhouse | plain
SELECT YEAR(d) AS y, count(*) FROM visits WHERE d >= toDate('2024-01-01') GROUP BY y

-- year_of_a_date_mysql | mysql | plain
SELECT YEAR(o.created), MONTH(o.created), DATE_FORMAT(o.created, '%Y-%m') FROM `orders` o GROUP BY 1, 2, 3

-- date_trunc | postgresql | plain
SELECT date_trunc('month', created_at)::date AS month, count(*) FILTER (WHERE status = 'paid') AS paid FROM orders GROUP BY 1

-- extract | postgresql | plain
SELECT extract(epoch FROM ended_at - started_at) / 3600.0 AS hours, to_char(started_at, 'YYYY-MM-DD') FROM runs

-- json_operators | postgresql | plain
SELECT doc -> 'user' ->> 'name', doc #>> '{a,b}', doc @> '{"k": 1}'::jsonb, doc ? 'k' FROM events WHERE doc @> '{"type": "click"}'

-- json_path | postgresql | plain
SELECT jsonb_path_query_first(doc, '$.items[*] ? (@.price > 10)') FROM events WHERE doc @? '$.items[*]'

-- arrays | postgresql | plain
SELECT tags[1], tags[2:3], array_length(tags, 1) FROM posts WHERE tags && ARRAY['sql', 'cache']::text[] AND 3 = ANY (votes)

-- lateral | postgresql | plain
SELECT u.id, l.total FROM users u LEFT JOIN LATERAL (SELECT sum(amount) AS total FROM orders o WHERE o.user_id = u.id) l ON true

-- distinct_on | postgresql | plain
SELECT DISTINCT ON (user_id) user_id, created_at FROM logins ORDER BY user_id, created_at DESC

-- recursive | postgresql | plain
WITH RECURSIVE tree (id, parent, depth) AS (
    SELECT id, parent, 0 FROM nodes WHERE parent IS NULL
    UNION ALL
    SELECT n.id, n.parent, t.depth + 1 FROM nodes n JOIN tree t ON n.parent = t.id
)
SELECT * FROM tree ORDER BY depth

-- grouping_sets | postgresql | plain
SELECT region, product, sum(amount) FROM sales GROUP BY GROUPING SETS ((region, product), (region), ())

-- window_frames | postgresql | plain
SELECT id, avg(x) OVER w, lag(x, 1, 0) OVER w, percentile_cont(0.5) WITHIN GROUP (ORDER BY x) FROM t GROUP BY id, x WINDOW w AS (PARTITION BY a ORDER BY b ROWS BETWEEN 6 PRECEDING AND CURRENT ROW)

-- generate_series | postgresql | plain
SELECT d::date FROM generate_series('2024-01-01'::timestamp, '2024-12-31', interval '1 day') AS d LEFT JOIN orders o ON o.day = d

-- unnest_with_ordinality | postgresql | plain
SELECT t.id, e.item, e.n FROM t CROSS JOIN LATERAL unnest(t.items) WITH ORDINALITY AS e (item, n)

-- dollar_strings | postgresql | plain
SELECT $$DROP TABLE t; -- it's a text$$ AS a, $tag$;$tag$ AS b, E'\';' AS c, U&'d\0061t' AS d

-- operators_of_its_own | postgresql | plain
SELECT name <-> 'query' AS distance, @ balance, a <@ b FROM t WHERE name ~* 'x' AND name !~~ 'y' AND ts @@ to_tsquery('fat & rat')

-- at_time_zone | postgresql | plain
SELECT created_at AT TIME ZONE 'Europe/Berlin' FROM orders WHERE created_at >= timestamptz '2024-01-01 00:00+01'

-- driver_placeholders | postgresql | plain
SELECT * FROM t WHERE a = %(a)s::int AND b LIKE '100%%' AND c IN (__[POSTCOMPILE_c_1])

-- locking_words_as_names | postgresql | plain
SELECT share, lock_version, update_time, "for", 'FOR UPDATE' FROM shares WHERE note = 'insert into t'

-- today | postgresql | daily
SELECT * FROM orders WHERE created_at::date = current_date

-- last_week | postgresql | daily
SELECT count(*) FROM orders WHERE day BETWEEN current_date - 7 AND current_date AND label <> 'now or never'

-- last_hour | postgresql | volatile
SELECT count(*) FROM events WHERE at > now() - interval '1 hour'

-- catalog | postgresql | volatile
SELECT c.relname, pg_size_pretty(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace

-- columns_of_a_table | postgresql | volatile
SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'orders'

-- qualify | duckdb | plain
SELECT * FROM sales QUALIFY row_number() OVER (PARTITION BY region ORDER BY amount DESC) <= 3

-- pivot | duckdb | plain
PIVOT sales ON year USING sum(amount) GROUP BY region

-- unpivot | duckdb | plain
UNPIVOT monthly ON jan, feb, mar

-- from_first | duckdb | plain
FROM sales SELECT region, sum(amount) GROUP BY ALL ORDER BY ALL

-- star_exclude | duckdb | plain
SELECT * EXCLUDE (secret) REPLACE (amount / 100 AS amount), COLUMNS('^x_') FROM sales

-- lists_and_lambdas | duckdb | plain
SELECT list_transform([1, 2, 3], x -> x + 1), {'a': 1, 'b': [2]}.b[1], [x * 2 for x in l if x > 1] FROM t

-- asof_join | duckdb | plain
SELECT * FROM trades ASOF JOIN quotes ON trades.symbol = quotes.symbol AND trades.at >= quotes.at

-- integer_division | duckdb | plain
SELECT 7 // 2, 2 ** 3, 'a' || 1, x::UBIGINT, try_cast(y AS DATE), strftime(d, '%Y'), epoch_ms(at) FROM t

-- today_duckdb | duckdb | daily
SELECT * FROM orders WHERE day >= today() - INTERVAL 7 DAY

-- catalog_duckdb | duckdb | volatile
SELECT table_name, estimated_size FROM duckdb_tables() WHERE NOT internal

-- strftime_of_a_column | sqlite | plain
SELECT strftime('%Y-%m', day) AS month, date(day, 'start of month', '+1 month', '-1 day'), sum(amount) FROM sales GROUP BY 1

-- odd_quotes | sqlite | plain
SELECT [order], `group`, "select", 'it''s; -- fine' AS "a ""b""" FROM [my table] AS "t;"

-- json_each | sqlite | plain
SELECT value ->> '$.name' FROM sales, json_each(sales.doc, '$.items') WHERE json_extract(doc, '$.n') > ?1

-- values | sqlite | plain
WITH names (id, name) AS (VALUES (1, 'a'), (2, 'b')) SELECT * FROM sales NATURAL JOIN names LIMIT :n OFFSET @skip

-- upsert_words | sqlite | plain
SELECT replace(name, 'insert', 'delete') AS "update", iif(a IS NOT b, 1, 0), printf('%d', x), random FROM sales

-- last_thirty_days | sqlite | daily
SELECT * FROM sales WHERE day >= date('now', '-30 days')

-- this_minute | sqlite | volatile
SELECT strftime('%H:%M', 'now') AS t, count(*) FROM sales

-- local_day | sqlite | volatile
SELECT * FROM sales WHERE day = date('now', 'localtime')

-- master | sqlite | volatile
SELECT name, sql FROM sqlite_master WHERE type = 'table'

-- hints | oracle | plain
SELECT /*+ INDEX(o orders_ix) PARALLEL(4) */ o.id, NVL(o.note, '-'), DECODE(o.s, 1, 'a', 'b') FROM orders o WHERE ROWNUM <= 10

-- connect_by | oracle | plain
SELECT LEVEL, name FROM employees START WITH manager IS NULL CONNECT BY PRIOR id = manager

-- oracle_dates | oracle | plain
SELECT TRUNC(created, 'MM'), ADD_MONTHS(created, 1), TO_DATE('2024-01-01', 'YYYY-MM-DD') FROM orders WHERE id = :1

-- sysdate | oracle | volatile
SELECT * FROM orders WHERE created > SYSDATE - 1

-- top_and_hints | mssql | plain
SELECT TOP (10) WITH TIES [Order ID], ISNULL(Note, N'') FROM [dbo].[Orders] WITH (NOLOCK, INDEX(ix)) ORDER BY Total DESC OPTION (RECOMPILE)

-- cross_apply | mssql | plain
SELECT o.id, j.[key], j.value FROM dbo.Orders o CROSS APPLY OPENJSON(o.doc) j WHERE o.d >= DATEADD(day, -7, '2024-01-08')

-- pivot_mssql | mssql | plain
SELECT * FROM (SELECT region, yr, amount FROM sales) s PIVOT (SUM(amount) FOR yr IN ([2023], [2024])) p

-- getdate | mssql | volatile
SELECT COUNT(*) FROM logins WHERE at > DATEADD(hour, -1, GETDATE())

-- backticks_and_structs | bigquery | plain
SELECT u.name, ARRAY_AGG(STRUCT(o.id, o.total) ORDER BY o.id LIMIT 5) FROM `project.data.users` u, UNNEST(u.orders) o WHERE _TABLE_SUFFIX BETWEEN '20240101' AND '20240131' GROUP BY 1

-- safe_functions | bigquery | plain
SELECT SAFE_DIVIDE(a, b), SAFE_CAST(x AS INT64), DATE_TRUNC(d, WEEK(MONDAY)), FORMAT_DATE('%F', d), r'\d+;' FROM t WHERE d = @day

-- bigquery_time | bigquery | volatile
SELECT * FROM `p.d.t` WHERE ts > TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 1 HOUR)

-- semi_structured | snowflake | plain
SELECT v:user.name::string AS name, f.value:price::number(10, 2) FROM events, LATERAL FLATTEN(input => v:items) f

-- qualify_snowflake | snowflake | plain
SELECT * FROM db.schema."Orders" QUALIFY ROW_NUMBER() OVER (PARTITION BY id ORDER BY ts DESC) = 1

-- staged_columns | snowflake | plain
SELECT $1, $2:a::string, IFF(a > 1, 'x', 'y'), DATEADD('day', -7, d), ZEROIFNULL(n) FROM t AT (OFFSET => -60)

-- match_recognize | snowflake | plain
SELECT * FROM quotes MATCH_RECOGNIZE (PARTITION BY symbol ORDER BY at MEASURES FIRST(at) AS a ONE ROW PER MATCH PATTERN (x+ y) DEFINE x AS price > 1, y AS price <= 1)

-- today_snowflake | snowflake | daily
SELECT * FROM orders WHERE created::date >= CURRENT_DATE() - 7

-- prewhere | clickhouse | plain
SELECT uniqExact(user), quantile(0.9)(ms), toStartOfHour(at) AS h FROM hits FINAL PREWHERE site = 1 GROUP BY h WITH TOTALS ORDER BY h LIMIT 3 BY site

-- array_join | clickhouse | plain
SELECT arrayJoin(tags) AS tag, countIf(ok), argMax(v, at) FROM t ARRAY JOIN xs AS x GROUP BY tag SETTINGS max_threads = 4

-- mysql_oddities | mysql | plain
SELECT SQL_CALC_FOUND_ROWS a, GROUP_CONCAT(b ORDER BY c SEPARATOR ';'), IF(a <=> NULL, 1, 2) FROM `t` FORCE INDEX (i) WHERE b REGEXP 'x' AND c = 'it\'s' # the end;

-- mysql_json | mysql | plain
SELECT doc->'$.a', doc->>'$.b', JSON_TABLE.x FROM t, JSON_TABLE(doc, '$[*]' COLUMNS (x INT PATH '$.x')) AS JSON_TABLE WHERE email = 'a@b.example'

-- curdate | mysql | daily
SELECT * FROM orders WHERE day >= CURDATE() - INTERVAL 7 DAY

-- trino | trino | plain
SELECT approx_distinct(user), element_at(m, 'k'), t.x FROM hive.web.hits CROSS JOIN UNNEST(items) AS t (x) WHERE date_diff('day', a, b) > 3

-- spark | databricks | plain
SELECT explode(split(tags, ',')) AS tag, date_add(d, 7), get_json_object(doc, '$.a') FROM delta_table VERSION AS OF 3 LATERAL VIEW explode(xs) x AS e

-- a_bare_table | postgresql | plain
orders

-- a_table_command | postgresql | plain
TABLE orders

-- comments_before | postgresql | plain
/* dashboard: 'sales' ; */ -- DELETE FROM t
SELECT count(*) FROM orders -- ; DROP TABLE orders

-- parentheses | postgresql | plain
(SELECT a FROM t ORDER BY a LIMIT 1) UNION ALL (SELECT b FROM u ORDER BY b LIMIT 1) ORDER BY 1
