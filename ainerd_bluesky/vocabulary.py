"""The words for dynamics, shared by simulator, classifier, catalog and people."""

from enum import StrEnum

__all__ = ["DYNAMICS", "Label"]


class Label(StrEnum):
    """What a two-time map shows."""

    STATIC = "static"
    """Hardly any decay inside the window."""
    STATIONARY = "stationary"
    """One relaxation, the same at every age."""
    AGING = "aging"
    """Relaxation slows smoothly with age."""
    ACCELERATING = "accelerating"
    """Relaxation speeds up smoothly with age."""
    INTERMITTENT = "intermittent"
    """Several sudden decorrelation events: blocks along the diagonal."""
    TRANSITION = "transition"
    """One change between two regimes of clearly different rate."""
    OSCILLATORY = "oscillatory"
    """Correlation returns: echoes parallel to the diagonal."""
    TWO_STEP = "two-step"
    """Fast partial decay to a plateau, then a slow second decay."""
    NO_SIGNAL = "no-signal"
    """Contrast not distinguishable from noise."""
    INVALID = "invalid"
    """Refused by the quality gate: no statement about dynamics."""


DYNAMICS: tuple[Label, ...] = tuple(label for label in Label if label != Label.INVALID)
"""The labels a classifier chooses from; `invalid` comes from the quality gate alone."""
