"""A process that writes to a database beside this one."""

from __future__ import annotations

import json
import subprocess
import sys

CHILD = """
import json, sys, traceback

def connected(url):
    if url.startswith("sqlite"):
        import sqlite3
        return sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    if url.startswith("duckdb"):
        import duckdb
        return duckdb.connect(url.removeprefix("duckdb:///"))
    if url.startswith("postgresql"):
        import psycopg
        return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)
    from sqlalchemy import make_url
    import pymysql
    url = make_url(url)
    return pymysql.connect(unix_socket=url.query["unix_socket"], user=url.username, database=url.database, autocommit=True)

held = {}
for line in sys.stdin:
    try:
        url, name, statements = json.loads(line)
        con = held.get(name) or connected(url)
        for statement in statements:
            cursor = con.cursor() if not url.startswith("duckdb") else con
            cursor.execute(statement)
        if name is None:
            con.close()
        else:
            held[name] = con
        print("done", flush=True)
    except BaseException:
        print(json.dumps(traceback.format_exc()), flush=True)
"""


class AnotherProcess:
    """One that lives as long as it is needed, and runs what it is told to over a pipe."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, url: str, *statements: str, held: str | None = None) -> None:
        """Run statements on a connection of its own.

        Args:
            url: the database.
            statements: each is committed at once, where none of them begins a transaction.
            held: the name of a connection that stays open; by default one is opened, and closed again.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([url, held, statements]) + "\n")
        self._process.stdin.flush()
        said = self._process.stdout.readline()
        assert said == "done\n", said

    def close(self) -> None:
        self._process.communicate()
