"""States as files that a crash cannot break."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.files import replaced
from ainerd_bluesky.selection.protocols import ResumableSelector
from ainerd_bluesky.selection.selector import StrategySelector
from ainerd_bluesky.selection.states import load_selector

__all__ = ["load_state", "read_json", "save_state", "write_json"]


def save_state(selector: ResumableSelector, path: Path | str) -> None:
    """Write the state of a selector as JSON, in place of the one before.

    Parameters
    ----------
    selector : ResumableSelector
        Whose state.
    path : Path or str
        File in a folder that exists; see `write_json`.
    """
    write_json(selector.state(), Path(path))


def load_state(path: Path | str) -> StrategySelector:
    """Read a selector that goes on where the saved one was.

    Parameters
    ----------
    path : Path or str
        File from `save_state`.

    Returns
    -------
    StrategySelector
        Gives the same suggestions as the saved one would.

    Raises
    ------
    SelectionError
        If there is no file, or it is not the whole, unchanged state of a selector in
        a format of this version.
    """
    state = read_json(Path(path))
    try:
        return load_selector(state)
    except SelectionError as error:
        raise SelectionError(f"{path}: {error}") from error


def write_json(values: Mapping[str, Any], path: Path) -> None:
    """Write JSON values in place of those before.

    Parameters
    ----------
    values : mapping
        JSON values without not-a-number or infinity.
    path : Path
        File in a folder that exists.

    Raises
    ------
    SelectionError
        If it cannot be written; what stood there stands there still, whole.
    """
    try:
        with replaced(path) as draft:
            draft.write_text(json.dumps(values, allow_nan=False), encoding="utf-8")
    except (OSError, TypeError, ValueError) as error:
        raise SelectionError(f"a state cannot be written to {path}: {error}") from error


def read_json(path: Path) -> dict[str, Any]:
    """Read what `write_json` wrote.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    dict
        JSON values.

    Raises
    ------
    SelectionError
        If there is no such file or no JSON object in it.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SelectionError(f"no state can be read from {path}: {error}") from error
    if not isinstance(values, dict):
        raise SelectionError(
            f"{path} holds no state but a {type(values).__name__}: give the file of a "
            "campaign"
        )
    return values
