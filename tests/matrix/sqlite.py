"""What a column of SQLite may hold: every storage class under every affinity, and mixtures."""

from __future__ import annotations

from tests.matrix.tables import ColumnType, Shape, of

_MIXED = ("1", "1.5", "'1'", "'x'", "x'00ff'", "''", "9223372036854775807", "-0.0", "x''")

TYPES: tuple[ColumnType, ...] = (
    of("integer", "0", "-9223372036854775808", "9223372036854775807", "9007199254740993"),
    of("real", "1.1", "-0.0", "9e999", "-9e999", "5e-324", "3"),
    of("text", "'a'", "''", "' b '", "'äß漢字🙂'", "'x' || char(0) || 'y'", "'null'", "'NaN'"),
    of("text, not UTF-8", "cast(x'ff61' as text)", "cast(x'eda080' as text)", "'a'", declared="text"),
    of("blob", "x'00ff41'", "x''", "x'eda080'"),
    of("blob of ASCII", "x'414243'", "x''", declared="blob"),
    of("numeric", "1.5", "'2.25'", "'text'", "12345678901234567890"),
    of("boolean", "true", "false"),
    of("decimal(10, 2)", "1.5", "2", "'3.25'"),
    of("date", "'2024-02-29'", "'0001-01-01'", "'9999-12-31'"),
    of("time", "'12:30:00'", "'23:59:59.999999'"),
    of("datetime", "'2024-02-29 12:30:00.123456'", "'1970-01-01 00:00:00'"),
    of("timestamp", "'2024-02-29 12:30:00'", "'1970-01-01 00:00:00'"),
    of("json", """'{"a": [1, 2.5, null]}'""", "'[]'", "'null'", """'"\\ud83d"'"""),
    of("varchar(20)", "'a'", "''"),
    of("bigint", "1", "-1"),
    of("real of whole numbers", "1", "2", declared="real"),
    of("integer beyond int64", "9223372036854775808", "-9223372036854775809", declared="integer"),
    # A column of the declared type blob converts nothing that is put into it.
    of("mixed", *_MIXED, declared="blob"),
    of("mixed int and float", "1", "1.5", "9007199254740993", declared="blob"),
    of("mixed int and text", "1", "'x'", declared="blob"),
    of("mixed text and blob", "'x'", "x'00'", declared="blob"),
    of("null", "null", declared=""),
    of("expression", "1 + 1", "'a' || 'b'", "cast(1 as real)", declared=""),
)

SHAPES: tuple[Shape, ...] = (
    Shape("two labels alike", "select 1 as a, 'x' as a"),
    Shape("labels of expressions", "select 1, 1, count(*)"),
    Shape(
        "odd labels",
        """select 1 as "", 2 as "a""b", 3 as "ä.漢", 4 as "{}", 5 as "INDEX_0", 6 as "$", 7 as " " """,
    ),
    Shape("empty label alone", 'select 1 as ""'),
    Shape(
        "labels of file's own names",
        'select 1 as "__index_level_0__", 2 as index_0, 3 as "0"',
        ("__index_level_0__", "index_0"),
    ),
    Shape("one column, no rows", "select 1 as a where false"),
)
