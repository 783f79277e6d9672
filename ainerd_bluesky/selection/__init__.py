"""Choose what to measure next from what was found so far."""

from ainerd_bluesky.selection.decisions import Decision, Ranked
from ainerd_bluesky.selection.mixtures import Blend, Turns
from ainerd_bluesky.selection.presets import (
    NoveltySelector,
    WantedLabelSelector,
    discovery,
    phase_boundary,
)
from ainerd_bluesky.selection.protocols import (
    Candidate,
    Observation,
    Results,
    ResumableSelector,
    Selector,
    Suggestion,
    TellsFailures,
)
from ainerd_bluesky.selection.saving import load_state, save_state
from ainerd_bluesky.selection.selector import StrategySelector
from ainerd_bluesky.selection.settings import SelectorSettings
from ainerd_bluesky.selection.situation import Situation, Strategy
from ainerd_bluesky.selection.space import Axis, box_candidates, grid_candidates
from ainerd_bluesky.selection.states import load_selector, replay
from ainerd_bluesky.selection.strategies import (
    Boundary,
    Chance,
    Coverage,
    Novelty,
    RareLabel,
    Remeasure,
    Uncertainty,
    WantedLabel,
    WantedProperty,
)

__all__ = [
    "Axis",
    "Blend",
    "Boundary",
    "Candidate",
    "Chance",
    "Coverage",
    "Decision",
    "Novelty",
    "NoveltySelector",
    "Observation",
    "Ranked",
    "RareLabel",
    "Remeasure",
    "Results",
    "ResumableSelector",
    "Selector",
    "SelectorSettings",
    "Situation",
    "Strategy",
    "StrategySelector",
    "Suggestion",
    "TellsFailures",
    "Turns",
    "Uncertainty",
    "WantedLabel",
    "WantedLabelSelector",
    "WantedProperty",
    "box_candidates",
    "discovery",
    "grid_candidates",
    "load_selector",
    "load_state",
    "phase_boundary",
    "replay",
    "save_state",
]
