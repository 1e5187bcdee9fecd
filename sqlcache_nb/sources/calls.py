"""Which functions a statement of PostgreSQL calls, told by its words alone: it is looked at each time that one runs."""

from __future__ import annotations

import re

# Of a word before a parenthesis: what stands there and is no function.
_WORDS = """
    all and any array as asc between by bigint bit both boolean bpchar by bytea case cast cascade char character check
    collate columns conflict constraint cross cube current date decimal default deferrable desc distinct do double else
    end escape except exclude execute exists extract false fetch filter float float4 float8 for foreign from full group
    grouping having ilike in include index inner int int2 int4 int8 integer interval intersect into is isnull join json
    json_table jsonb key lateral leading left like limit materialized minus natural next not notnull null numeric offset on only
    operator or order ordinality outer over overlaps owned partition precision primary range real recursive references
    returning returns right rollup row rows select serial set sets similar smallint some symmetric table tablesample text then
    time timestamp timestamptz to trailing true type union unique update using uuid values varbit varchar variadic varying
    view when where window with within without xmltable zone
""".split()
# Of PostgreSQL's own functions, those that an analysis calls.
_KNOWN = """
    abs acos age array_agg array_append array_cat array_length array_position array_positions array_prepend array_remove
    array_replace array_to_json array_to_string array_upper ascii asin atan atan2 avg bit_and bit_length bit_or bit_xor
    bool_and bool_or bound_box btrim cardinality cbrt ceil ceiling center char_length character_length chr clock_timestamp
    coalesce concat concat_ws convert_from convert_to corr cos count covar_pop covar_samp cume_dist current_database
    current_date current_schema current_schemas current_setting current_time current_timestamp current_user date_add
    date_bin date_part date_subtract date_trunc decode degrees dense_rank div encode every exp factorial first_value
    floor format format_type gcd gen_random_uuid generate_series generate_subscripts get_bit get_byte greatest has_table_privilege
    initcap isempty isfinite json_agg json_array json_array_elements json_array_elements_text json_array_length
    json_arrayagg json_build_array json_build_object json_each json_each_text json_exists json_extract_path
    json_extract_path_text json_object json_object_agg json_object_keys json_objectagg json_query json_serialize
    json_to_record json_to_recordset json_typeof json_value jsonb_agg jsonb_array_elements jsonb_array_elements_text
    jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text jsonb_extract_path
    jsonb_extract_path_text jsonb_object_agg jsonb_object_keys jsonb_path_exists jsonb_path_query jsonb_path_query_array
    jsonb_path_query_first jsonb_pretty jsonb_set jsonb_strip_nulls jsonb_to_record jsonb_to_recordset jsonb_typeof
    justify_days justify_hours justify_interval lag last_value lcm lead least length ln localtime localtimestamp log
    log10 lower lower_inc lower_inf lpad ltrim make_date make_interval make_time make_timestamp make_timestamptz max md5
    min mod mode multirange nextval currval normalize now nth_value ntile nullif num_nonnulls num_nulls numrange obj_description
    octet_length overlay parse_ident percent_rank percentile_cont percentile_disc pi plainto_tsquery position power
    quote_ident quote_literal quote_nullable radians random range_agg range_merge rank regexp_count regexp_instr
    regexp_like regexp_match regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table regexp_substr
    regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy repeat replace reverse
    round row_number row_to_json rpad rtrim scale setval sha256 sign sin split_part sqrt starts_with statement_timestamp
    stddev stddev_pop stddev_samp string_agg string_to_array string_to_table strpos substr substring sum tan timezone
    to_char to_date to_hex to_json to_jsonb to_number to_regclass to_timestamp to_tsquery to_tsvector
    transaction_timestamp translate trim trim_array trunc ts_headline ts_rank tsrange tstzrange daterange int4range
    int8range txid_current unnest upper upper_inc upper_inf var_pop var_samp variance version websearch_to_tsquery
    width_bucket xmlagg xmlelement xmlforest
""".split()
_HARMLESS = frozenset([*_WORDS, *_KNOWN])
_PARENTHESIS = re.compile(r"(?<=\S)\s*+\(")
_NAME = r'(?:"[^"]+"|(?<![\w$])[^\W\d][\w$]*)'
_LAST_NAME = re.compile(rf"{_NAME}$")
# What follows INTO, TABLE and their like is a list of columns, or of arguments that are declared.
_DECLARED = re.compile(
    rf"""\b(?:into|table|view|with|recursive|as|references|exists|function|procedure|aggregate)\s+
         (?:{_NAME}\s*\.\s*)*{_NAME}$""",
    re.IGNORECASE | re.VERBOSE,
)
_BACK = 200
"""Characters before a parenthesis that are looked at: three names have room in them."""


def calls_code(statement: str) -> bool:
    """Whether a statement calls, or may call, a function of somebody's own.

    What stands in literals and comments is taken for a call, too; what a view, a rule or a trigger calls is not seen.

    Args:
        statement: what is run.
    """
    for found in _PARENTHESIS.finditer(statement):
        end = found.start()
        before = statement[max(0, end - _BACK) : end]
        # A comment may stand between the two. Where that cannot be told in short, it is one.
        if before.endswith("*/"):
            before = before[: before.rfind("/*")].rstrip() if "/*" in before else "comment"
        elif "\n" in found[0] and "--" in before[before.rfind("\n") + 1 :]:
            return True
        if _is_of_a_person(before):
            return True
    return False


def _is_of_a_person(before: str) -> bool:
    """Whether what stands before a parenthesis ends in the name of a function that PostgreSQL itself may not have."""
    if not before or not (before[-1].isalnum() or before[-1] in '_$"'):
        return False
    named = _LAST_NAME.search(before)
    if named is None:
        return before[-1] == '"'  # a name that is longer than what is looked at, or none
    name, prefix = named[0].strip('"').lower(), before[: named.start()].rstrip()
    if prefix.endswith("."):
        if prefix[:-1].rstrip().strip('"').lower().endswith("pg_catalog"):
            return name == "set_config"
    elif name in _HARMLESS or (name.startswith("pg_") and named[0][0] != '"'):
        return False
    return _DECLARED.search(before) is None
