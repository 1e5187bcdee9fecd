"""PostgreSQL's validator: the snapshot that a read would have. It moves when anything is committed in the whole cluster.

It is the text of `pg_current_snapshot()`, which any role may ask for
(https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT). A transaction that writes has a
number, and as long as it is in progress a snapshot says so, or ends before it: so its COMMIT moves the text, be it in parts
(savepoints), in two phases, TRUNCATE or DDL. So do rollbacks, ANALYZE and temporary tables: a text that differs proves little.

The text alone does not do. After a crash transactions that were lost give their numbers to others, and unlogged tables are
empty without any: the same text again, and other rows. So the server's start and its last checkpoint are told with it, since
each recovery ends with a checkpoint of its own; the cluster by its identifier and timeline, since another one may answer
tomorrow; and the settings that shape values, which a server that reads its configuration anew changes without a transaction.

What changes without a transaction is not vouched for: foreign tables, sequences, functions that read elsewhere
(`sources.catalog`, `words.reads_elsewhere`). Nor are other programs that answer in PostgreSQL's place; and a pool of connections
before the server that sends one statement to the primary and the next one to a standby is not seen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from sqlcache_nb.freshness import Strength
from sqlcache_nb.validators import Probe

# What a session takes from the server's configuration, where nobody has set it otherwise, and shapes values by.
_SETTINGS = """TimeZone DateStyle IntervalStyle bytea_output extra_float_digits row_security search_path lc_monetary
    lc_numeric lc_time default_text_search_config xmlbinary xmloption transform_null_equals array_nulls backslash_quote
    standard_conforming_strings""".split()

_TOLD = ", ".join(f"pg_catalog.current_setting('{name}', true)" for name in _SETTINGS)
# One text, as in `sources.postgresql`: no driver converts it.
_STATE = f"""
SELECT CAST(pg_catalog.json_build_object(
    'version', pg_catalog.version(),
    'standby', pg_catalog.pg_is_in_recovery(),
    'distributed', EXISTS (SELECT 1 FROM pg_catalog.pg_extension WHERE extname IN ('citus', 'orioledb')),
    'snapshot', CAST(pg_catalog.pg_current_snapshot() AS text),
    'cluster', CAST(cluster.system_identifier AS text),
    'timeline', state.timeline_id,
    'checkpoint', CAST(state.checkpoint_lsn AS text),
    'started', EXTRACT(epoch FROM pg_catalog.pg_postmaster_start_time()),
    'settings', pg_catalog.md5(CAST(pg_catalog.json_build_array({_TOLD}) AS text))
) AS text) FROM pg_catalog.pg_control_system() AS cluster, pg_catalog.pg_control_checkpoint() AS state
"""  # noqa: S608  # names of our own
_TOKEN = ("snapshot", "cluster", "timeline", "checkpoint", "started", "settings")

_OTHERS = re.compile(
    r"redshift|greenplum|cloudberry|-yb-|cockroach|materialize|risingwave|gaussdb|kingbase|hologres|yellowbrick|aurora",
    re.IGNORECASE,
)
_VERSION = re.compile(r"PostgreSQL (\d+)")
_OLDEST = 13
"""The first version with snapshots of 64 bits."""

_DENIED = "42501"
_NO_FUNCTION = "42883"


class SnapshotValidator:
    """Tells by the snapshot of the whole cluster, in less than half a millisecond.

    It cannot tell on a standby, whose snapshots do not name what is in progress; where the functions that tell the cluster and
    its last checkpoint were revoked; and of what only speaks as PostgreSQL does.
    """

    name = "snapshot"
    strength = Strength.CONSERVATIVE
    dialects = frozenset({"postgresql"})
    wants_tables = False

    def token(self, probe: Probe) -> str | None:
        """The snapshot, and of which cluster it is.

        Args:
            probe: the session that answers the question.

        Raises:
            Exception: the driver's own, or that the session cannot be asked.
        """
        try:
            ((text,),) = probe.execute(_STATE)
        except Exception as fault:
            if {_DENIED, _NO_FUNCTION} & set(_states(fault)):
                return None
            raise
        told = json.loads(text)
        version = _VERSION.match(told["version"])
        is_known = version is not None and int(version[1]) >= _OLDEST and not _OTHERS.search(told["version"])
        if not is_known or told["standby"] or told["distributed"]:
            return None
        return " ".join(str(told[name]) for name in _TOKEN)


def _states(fault: BaseException) -> Iterator[str]:
    """The SQLSTATEs that a server has answered with, of an error and those that it was made of."""
    seen: BaseException | None = fault
    while seen is not None:
        driver: Any = getattr(seen, "orig", None) or seen  # SQLAlchemy's, or the driver's own
        for told in (getattr(driver, "sqlstate", None), getattr(driver, "pgcode", None)):
            if isinstance(told, str):
                yield told
        if driver.args and isinstance(driver.args[0], dict):  # pg8000's
            yield str(driver.args[0].get("C"))
        seen = seen.__cause__
