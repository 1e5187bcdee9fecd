"""Passwords and other secrets, taken out of whatever is shown or written."""

from __future__ import annotations

import re
from functools import lru_cache

_SECRETS = (
    r"pass(?:word|wort|wd|phrase|code)|kennwort|pwd|secret|token|credential|odbc_connect"
    r"|(?:api|access|account|encryption|private|shared|signing)_?key"
    r"|(?<![a-z])(?:pass|psw|pw|sas|sig|signature)(?![a-z])"
)
_SECRET_NAME = re.compile(_SECRETS, re.IGNORECASE)
# Values in quotes (doubled or escaped inside), in ODBC's braces (doubled inside), or without either.
_SECRET_PAIR = re.compile(
    rf"(\b[\w-]*(?:{_SECRETS})\w*[\"']?\s*(?:=|:=|:(?!:))\s*)"
    r"('(?:[^'\\]|\\.|'')*'?|\"(?:[^\"\\]|\\.|\"\")*\"?|\{(?:[^}]|\}\})*\}?|[^\s;&,)]+)",
    re.IGNORECASE | re.DOTALL,
)
# SQLAlchemy's URLs may have a slash in a password.
_URL_PASSWORD = re.compile(r"(://[^\s:/@'\"]*:)([^/\n]*|[^\s'\"]*)(@)")


def redact(text: str) -> str:
    """The text without the passwords and secrets of URLs and of `name=value` pairs.

    Example:
        >>> redact("postgresql://ann:s3cret@db/sales?password=x")
        'postgresql://ann:***@db/sales?password=***'
    """
    if "=" not in text and ":" not in text:  # of which each of them has one
        return text
    return _SECRET_PAIR.sub(r"\1***", _URL_PASSWORD.sub(r"\1***\3", text))


def first_line(fault: BaseException) -> str:
    r"""An error in one line, without secrets: of SQLAlchemy's messages the first line names no values.

    Args:
        fault: the error.

    Example:
        >>> first_line(ValueError("no password=s3cret here\nnor there"))
        'ValueError: no password=*** here'
    """
    return redact(f"{type(fault).__name__}: {fault}".partition("\n")[0])


@lru_cache(maxsize=1024)
def is_secret(name: str) -> bool:
    """Whether an option of that name holds a secret.

    Example:
        >>> is_secret("sslpassword"), is_secret("sslmode")
        (True, False)
    """
    return _SECRET_NAME.search(name) is not None
