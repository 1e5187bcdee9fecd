"""PostgreSQL's catalog: what stands behind the names in a statement."""

from __future__ import annotations

import json
from collections.abc import Iterable

from sqlcache_nb.schema import Behind, Function, Name
from sqlcache_nb.sources.base import Execute
from sqlcache_nb.sources.postgresql import FIRST_OID

MANY = 200
"""So many tables are named; where a statement reads more, it may read any."""

_CLASS, _PROC, _OPERATOR, _REWRITE, _POLICY = 1259, 1255, 2617, 2618, 3256  # as pg_depend names the catalogs
_HEAP = 2  # the server's own way to keep a table: others need not count transactions as it does
_INTERNAL = 2281  # what planners' helpers return, which answer no query

# One statement for all names. From each of them it goes on by what the server itself has noted: a view's rule, a policy, a
# function in SQL that was parsed when it was made, an operator depend on others (pg_depend); a partition's rows are its
# parent's. Rows of a materialized view change when it is refreshed, so it is a table. Operators and casts in the statement itself are
# not looked up; where there are any of somebody's own that do more than compute, it may use them. The names come as hexadecimal digits, since
# there may be anything in them; the answer is one text (see postgresql.py). No percent sign and no colon but for them.
_BEHIND = f"""
WITH RECURSIVE asked AS (
    SELECT n FROM pg_catalog.json_array_elements(CAST(
        pg_catalog.convert_from(pg_catalog.decode('%s', 'hex'), 'UTF8') AS json)) AS n
),
reached(kind, oid) AS (
    SELECT CAST('read' AS text), c.oid
    FROM asked JOIN pg_catalog.pg_class c ON c.relname = CAST(n ->> 1 AS name)
    WHERE n ->> 0 = 'relation' AND c.oid >= {FIRST_OID} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      AND CASE WHEN n ->> 2 IS NULL THEN CAST(n ->> 3 AS boolean) OR pg_catalog.pg_table_is_visible(c.oid)
               ELSE c.relnamespace IN (SELECT s.oid FROM pg_catalog.pg_namespace s
                                       WHERE pg_catalog.lower(s.nspname) = pg_catalog.lower(n ->> 2)) END
    UNION
    SELECT 'call', p.oid
    FROM asked JOIN pg_catalog.pg_proc p ON pg_catalog.lower(p.proname) = pg_catalog.lower(n ->> 1)
    WHERE n ->> 0 IN ('call', 'attribute') AND p.oid >= {FIRST_OID}
      AND CASE WHEN n ->> 0 = 'attribute' THEN true
               WHEN n ->> 2 IS NULL THEN CAST(n ->> 3 AS boolean) OR pg_catalog.pg_function_is_visible(p.oid)
               ELSE p.pronamespace IN (SELECT s.oid FROM pg_catalog.pg_namespace s
                                       WHERE pg_catalog.lower(s.nspname) = pg_catalog.lower(n ->> 2)) END
      AND (n ->> 0 = 'call' OR (p.pronargs = 1 AND EXISTS (
           SELECT 1 FROM pg_catalog.pg_type t WHERE t.oid = p.proargtypes[0] AND t.typtype = 'c')))
    UNION
    SELECT next.kind, next.oid FROM reached, LATERAL (
        SELECT 'part' AS kind, i.inhrelid AS oid FROM pg_catalog.pg_inherits i
        WHERE i.inhparent = reached.oid AND reached.kind IN ('read', 'part')
        UNION ALL
        SELECT 'parent', i.inhparent FROM pg_catalog.pg_inherits i
        WHERE i.inhrelid = reached.oid AND reached.kind IN ('read', 'part', 'parent')
        UNION ALL
        SELECT CASE d.refclassid WHEN {_CLASS} THEN 'read' WHEN {_PROC} THEN 'call' ELSE 'operator' END, d.refobjid
        FROM (
            SELECT {_REWRITE} AS class, r.oid FROM pg_catalog.pg_rewrite r
            JOIN pg_catalog.pg_class v ON v.oid = r.ev_class
            WHERE reached.kind = 'read' AND v.oid = reached.oid AND v.relkind = 'v' AND r.ev_type = '1'
            UNION ALL
            SELECT {_POLICY}, p.oid FROM pg_catalog.pg_policy p
            JOIN pg_catalog.pg_class s ON s.oid = p.polrelid
            WHERE reached.kind = 'read' AND s.oid = reached.oid AND s.relrowsecurity AND p.polcmd IN ('r', '*')
            UNION ALL
            SELECT {_PROC}, reached.oid WHERE reached.kind = 'call'
            UNION ALL
            SELECT {_OPERATOR}, reached.oid WHERE reached.kind = 'operator'
        ) AS user_of
        JOIN pg_catalog.pg_depend d ON d.classid = user_of.class AND d.objid = user_of.oid
        WHERE d.refclassid IN ({_CLASS}, {_PROC}, {_OPERATOR}) AND d.refobjid >= {FIRST_OID}
    ) AS next
)
SELECT CAST(pg_catalog.json_build_object(
    'tables', (SELECT pg_catalog.json_agg(relname) FROM (
        SELECT DISTINCT c.relname FROM reached JOIN pg_catalog.pg_class c ON c.oid = reached.oid
        WHERE reached.kind IN ('read', 'part', 'parent') AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
        ORDER BY c.relname LIMIT {MANY + 1}) AS named),
    'definitions', (SELECT pg_catalog.json_agg(code) FROM (
        SELECT pg_catalog.pg_get_viewdef(c.oid) AS code
        FROM reached JOIN pg_catalog.pg_class c ON c.oid = reached.oid
        WHERE reached.kind = 'read' AND c.relkind = 'v'
        UNION
        SELECT pg_catalog.concat('SELECT ', pg_catalog.pg_get_expr(p.polqual, p.polrelid))
        FROM reached JOIN pg_catalog.pg_policy p ON p.polrelid = reached.oid
        JOIN pg_catalog.pg_class s ON s.oid = p.polrelid
        WHERE reached.kind = 'read' AND s.relrowsecurity AND p.polcmd IN ('r', '*') AND p.polqual IS NOT NULL
        ) AS defined),
    'functions', (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(
            p.proname, l.lanname, p.provolatile,
            CASE WHEN l.lanname IN ('c', 'internal') THEN ''
                 WHEN l.lanname = 'sql' AND p.prosrc = '' THEN pg_catalog.pg_get_functiondef(p.oid)
                 ELSE p.prosrc END,
            l.lanname = 'sql' AND p.prosrc = '',
            CASE WHEN p.pronargdefaults > 0 THEN pg_catalog.pg_get_function_arguments(p.oid) ELSE '' END
            ) ORDER BY p.oid)
        FROM reached JOIN pg_catalog.pg_proc p ON p.oid = reached.oid
        JOIN pg_catalog.pg_language l ON l.oid = p.prolang
        WHERE reached.kind = 'call' AND p.prorettype <> {_INTERNAL}),
    'elsewhere', EXISTS (
        SELECT 1 FROM reached JOIN pg_catalog.pg_class c ON c.oid = reached.oid
        WHERE reached.kind IN ('read', 'part')
          AND (c.relkind IN ('f', 'S') OR (c.relkind IN ('r', 'm') AND c.relam <> {_HEAP}))
    ) OR EXISTS (
        SELECT 1 FROM (SELECT oprcode AS code FROM pg_catalog.pg_operator WHERE oid >= {FIRST_OID}
                       UNION ALL SELECT castfunc FROM pg_catalog.pg_cast WHERE oid >= {FIRST_OID}) AS own
        JOIN pg_catalog.pg_proc p ON p.oid = own.code JOIN pg_catalog.pg_language l ON l.oid = p.prolang
        WHERE p.provolatile = 'v' OR (p.provolatile = 's' AND l.lanname NOT IN ('c', 'internal')))
) AS text)
"""  # noqa: S608  # numbers of our own


def behind(execute: Execute, names: Iterable[Name]) -> Behind:
    """What stands behind some names, as the session resolves them; a millisecond or two.

    Args:
        execute: runs a statement on the connection.
        names: those of a statement, or of code.

    Raises:
        Exception: the driver's own.
    """
    asked = json.dumps(sorted(names, key=repr))
    ((text,),) = execute(_BEHIND % asked.encode().hex())
    told = json.loads(text)
    tables = tuple(told["tables"] or ())
    return Behind(
        tables=tables if len(tables) <= MANY else None,
        definitions=tuple(told["definitions"] or ()),
        functions=tuple(Function(*facts) for facts in told["functions"] or ()),
        elsewhere=told["elsewhere"],
    )
