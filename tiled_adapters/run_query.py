"""Which runs a person means: a query in one line of text."""

import json
import re
import shlex
from datetime import datetime
from typing import Any

from tiled.queries import Comparison, Eq

from ainerd_bluesky.errors import ConfigError
from tiled_adapters.client import XPCSResultsCatalog

__all__ = ["EVERYTHING", "find_runs", "moment"]

EVERYTHING = "all"
"""The query that finds every run."""

_UNITS = {"m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
_DATES = {"since": "ge", "until": "lt"}
_NUMBERS = ("min_confidence", "min_novelty", "max_novelty")
_FIND = ("label", "sample", "model_version", *_NUMBERS)


def find_runs(results: XPCSResultsCatalog, query: str) -> XPCSResultsCatalog:
    """Narrow runs down to those of a query.

    Parameters
    ----------
    results : XPCSResultsCatalog
        `/processed/xpcs`.
    query : str
        ``all``, or terms `KEY=VALUE` with spaces between; values with spaces have
        quotes. `label` (several with commas), `sample`, `model_version`,
        `min_confidence`, `min_novelty` and `max_novelty` are those of `find`; `since`
        and `until` are times of publishing, see :func:`moment`; any other key is one
        of the metadata of results, such as `physics.q_bin`.

    Returns
    -------
    XPCSResultsCatalog
        To be narrowed down further, listed, or made a table of. A term that cannot be
        understood is a `ConfigError`, and so is an unknown label.

    Notes
    -----
    A query might be ``label=aging,static sample="silica gel" since=30d``.
    """
    terms = _terms(query)
    found = results.find(**{key: _of_find(key, terms) for key in _FIND if key in terms})
    for key, text in terms.items():
        if key in _DATES:
            now = datetime.now().astimezone()
            operator, time = _DATES[key], moment(text, now).timestamp()
            found = found.search(Comparison(operator, "published", time))
        elif key not in _FIND:
            found = found.search(Eq(key, _json(text)))
    return found


def moment(text: str, now: datetime) -> datetime:
    """Return the time that a text tells: a date, or so long ago.

    Parameters
    ----------
    text : str
        Such as ``30m``, ``12h``, ``7d``, ``2w``, ``2026-03-01`` or
        ``2026-03-01T08:00``.
    now : datetime
        With its time zone.

    Returns
    -------
    datetime
        With a time zone.

    Raises
    ------
    ConfigError
        If it is none of these.

    Examples
    --------
    >>> moment("12h", datetime.fromisoformat("2026-03-01T20:00+00:00")).isoformat()
    '2026-03-01T08:00:00+00:00'
    """
    ago = re.fullmatch(r"(\d+(?:\.\d+)?)([mhdw])", text)
    if ago:
        start = now.timestamp() - float(ago[1]) * _UNITS[ago[2]]
        return datetime.fromtimestamp(start, now.tzinfo)
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError as error:
        raise ConfigError(
            f"a time is 30m, 12h, 7d, 2w or a date such as 2026-03-01, got {text!r}"
        ) from error


def _terms(query: str) -> dict[str, str]:
    if query.strip() == EVERYTHING:
        return {}
    try:
        words = shlex.split(query)
    except ValueError as error:
        raise ConfigError(f"query {query!r}: {error}") from error
    pairs = [word.partition("=") for word in words]
    if not pairs or not all(key and value for key, _, value in pairs):
        raise ConfigError(
            f"a query is {EVERYTHING!r}, or terms such as label=aging sample=S1 "
            f"since=30d, got {query!r}"
        )
    return {key: value for key, _, value in pairs}


def _of_find(key: str, terms: dict[str, str]) -> Any:  # noqa: ANN401 - as `find` has it
    text = terms[key]
    if key == "label":
        return text.split(",")
    if key not in _NUMBERS:
        return text
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(f"{key} is a number, got {text!r}") from error


def _json(text: str) -> Any:  # noqa: ANN401 - any JSON
    """Read numbers and truth values; all else is text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float | str) else text
