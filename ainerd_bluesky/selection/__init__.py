"""Choose what to measure next from what was found so far."""

from ainerd_bluesky.selection.protocols import (
    Candidate,
    Observation,
    Results,
    Selector,
    Suggestion,
)
from ainerd_bluesky.selection.selector import (
    NoveltySelector,
    WantedLabelSelector,
    load_selector,
)

__all__ = [
    "Candidate",
    "NoveltySelector",
    "Observation",
    "Results",
    "Selector",
    "Suggestion",
    "WantedLabelSelector",
    "load_selector",
]
