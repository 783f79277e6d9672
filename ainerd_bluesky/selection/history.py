"""What happened to a selector, in order: the part of its state that grows."""

import hashlib
import json
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from ainerd_bluesky.errors import SelectionError

__all__ = ["FORMAT_VERSION", "History", "canonical_json", "hash_of_state"]

FORMAT_VERSION = 1
"""Of saved states; a change of the header or of an event raises it. A version that does
not know a kind of event says so."""


def canonical_json(value: Any) -> str:  # noqa: ANN401 - JSON is any of its types
    """Write a JSON value in the one way that counts for hashes.

    Parameters
    ----------
    value : Any
        JSON values without not-a-number or infinity.

    Returns
    -------
    str
        Sorted keys, no spaces.

    Raises
    ------
    SelectionError
        If something in it is no JSON value.

    Examples
    --------
    >>> canonical_json({"b": 1, "a": [0.5]})
    '{"a":[0.5],"b":1}'
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise SelectionError(
            f"{reprlib.repr(value)} cannot be kept as JSON: {error}"
        ) from error


class History:
    """Events of a selector and their hash, which grows with them.

    Parameters
    ----------
    header : mapping
        What the selector was made with, as JSON values.
    """

    def __init__(self, header: Mapping[str, Any]) -> None:
        self._events: list[dict[str, Any]] = []
        # Ten thousand results are hashed once each, not once for every decision.
        self._hash = hashlib.sha256(canonical_json(header).encode())

    @property
    def events(self) -> tuple[dict[str, Any], ...]:
        """Copies of all events, oldest first, as JSON values."""
        # No event holds more than mappings of numbers; a deep copy takes ten times as
        # long, and a state is written at each event.
        return tuple(
            {
                key: dict(value) if isinstance(value, dict) else value
                for key, value in event.items()
            }
            for event in self._events
        )

    @property
    def state_hash(self) -> str:
        """Sha256 of header and events, each in canonical JSON, a line each."""
        return self._hash.copy().hexdigest()

    def add(self, event: dict[str, Any]) -> None:
        """Append an event of JSON values."""
        line = canonical_json(event)
        self._hash.update(f"\n{line}".encode())
        self._events.append(event)


def hash_of_state(
    header: Mapping[str, Any], events: Sequence[Mapping[str, Any]]
) -> str:
    """Compute the hash of a saved state.

    Parameters
    ----------
    header : mapping
        What the selector was made with.
    events : sequence of mapping
        What happened to it.

    Returns
    -------
    str
        Sha256 in hex digits, equal to `History.state_hash`.
    """
    lines = [canonical_json(header), *(canonical_json(event) for event in events)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
