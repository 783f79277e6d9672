"""A decision checked: taken again from the saved state of its selector."""

from pathlib import Path

from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection import Decision, replay
from ainerd_bluesky.selection.saving import read_json

__all__ = ["require_same_choice"]

_SELECTOR = "selector"
"""Where the state of the selector stands in the file of a campaign."""


def require_same_choice(decision: Decision, path: Path) -> None:
    """Take all decisions of a saved state again, and compare one of them.

    Parameters
    ----------
    decision : Decision
        From a catalog or a start document.
    path : Path
        State of the selector, or of its campaign, from then or later.

    Raises
    ------
    SelectionError
        If the file is no such state, does not hold the decision, or takes it
        differently.
    """
    document = read_json(path)
    state = document.get(_SELECTOR, document)
    again = next((one for one in replay(state) if one.key == decision.key), None)
    if again is None:
        raise SelectionError(
            f"{path} has no {decision.key}: it is of another selector, or was saved "
            "before this decision"
        )
    if again.chosen != decision.chosen:
        raise SelectionError(
            f"{path} chooses {again.chosen!r} where {decision.chosen!r} was chosen"
        )
