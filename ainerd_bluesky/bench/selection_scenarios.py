"""The scenarios: kinds of campaigns, and what is asked of the selector in each."""

from dataclasses import dataclass, replace
from typing import Literal

from ainerd_bluesky.bench.selection_campaigns import CampaignSettings
from ainerd_bluesky.bench.selection_diagrams import DiagramSettings

__all__ = [
    "FIND_RARE",
    "GRIDS",
    "GRID_STEPS",
    "MAP_MARKS",
    "MAP_PHASES",
    "NO_WORSE",
    "QUICK",
    "SCENARIOS",
    "Scenario",
    "grid_name",
]

NO_WORSE = 1.1
"""Most that any ratio to random may be, in any scenario."""
_FIND_TARGET = 0.4
_MAP_TARGET = 0.5

GRID_STEPS = 16
"""Rows and columns of the grid whose error is to be reached."""
GRIDS = (6, 8, 10, 12, 14, GRID_STEPS)
"""All grids that are measured."""
MAP_MARKS = (10, 20, 30, 40, 50, 60, 80, 100, 120, 140, 160, 200, 240, 280)
"""Numbers of scans after which the error of a phase diagram is measured."""
_N_ADVERSARIAL_MARKS = 8


@dataclass(frozen=True)
class Scenario:
    """Campaigns of one kind.

    Parameters
    ----------
    name : str
        What is particular about them.
    task : str
        ``find`` all rare classes, or ``map`` the boundaries.
    settings : CampaignSettings
        How they are drawn.
    target : float, optional
        Most that the selector may need, relative to random (find) or to a grid (map);
        None where it only must not be worse than random.
    is_adversarial : bool
        Whether it was made to mislead the selector; then it meets random alone.
    n_repeats : int
        Selectors with different random states for each campaign.
    """

    name: str
    task: Literal["find", "map"]
    settings: CampaignSettings
    target: float | None = None
    is_adversarial: bool = True
    n_repeats: int = 1

    @property
    def marks(self) -> tuple[int, ...]:
        """Numbers of scans after which the error of a phase diagram is measured."""
        return MAP_MARKS[:_N_ADVERSARIAL_MARKS] if self.is_adversarial else MAP_MARKS


_SHARP, _NARROW, _WIDE = (0.0, 0.0), (0.05, 0.05), (0.3, 0.3)


def _find(name: str, diagram: DiagramSettings, settings: CampaignSettings) -> Scenario:
    return Scenario(name, "find", replace(settings, diagram=diagram))


def _map(name: str, diagram: DiagramSettings, settings: CampaignSettings) -> Scenario:
    conditions = replace(diagram, n_samples=0, rare="none")
    return Scenario(name, "map", replace(settings, diagram=conditions))


_ANY, _FAIR = DiagramSettings(), CampaignSettings()

FIND_RARE = replace(
    _find("rare where kinds meet", DiagramSettings(rare="meeting"), _FAIR),
    target=_FIND_TARGET,
    is_adversarial=False,
)
"""The campaigns whose rare classes are to be found."""
MAP_PHASES = replace(
    _map("diagram, bands of 5 %", DiagramSettings(bands=_NARROW), _FAIR),
    target=_MAP_TARGET,
    is_adversarial=False,
)
"""The campaigns whose boundaries are to be mapped."""

_FAIR_SCENARIOS = (
    replace(_find("rare anywhere", _ANY, _FAIR), target=_FIND_TARGET),
    _find("rare, 200 samples", DiagramSettings(n_samples=200), _FAIR),
    _find("rare, 1000 samples", DiagramSettings(n_samples=1000), _FAIR),
    _find("rare, bands of 5 %", DiagramSettings(bands=_NARROW), _FAIR),
    _find("rare, bands of 30 %", DiagramSettings(bands=_WIDE), _FAIR),
    replace(
        _map("diagram, sharp", DiagramSettings(bands=_SHARP), _FAIR), target=_MAP_TARGET
    ),
    replace(_map("diagram, bands of 10 to 20 %", _ANY, _FAIR), target=_MAP_TARGET),
)

_ALIKE = DiagramSettings(phases="alike")
_FAR_AND_SHARP = DiagramSettings(rare="far", bands=_SHARP)
_CORNERS = DiagramSettings(rare="corner", bands=_SHARP)
_BOARD = DiagramSettings(phases="checkerboard")
_SHUFFLED = CampaignSettings(is_shuffled=True)
_STARVED = CampaignSettings(is_starved=True)
_WRONG = CampaignSettings(wrong=0.3)
_MISTAKEN = CampaignSettings(mistaken=0.25)
_REFUSED = CampaignSettings(has_refused_region=True)

_ADVERSARIAL_SCENARIOS = (
    replace(_find("rare, shuffled coordinates", _ANY, _SHUFFLED), n_repeats=3),
    _find("rare, sharp, far from all", _FAR_AND_SHARP, _FAIR),
    _find("rare, sharp, in corners", _CORNERS, _FAIR),
    _find("rare, all others alike", _ALIKE, _FAIR),
    _find("rare, checkerboard around", _BOARD, _FAIR),
    _find("rare, few photons", _ANY, _STARVED),
    _find("rare, 30 % wrong labels", _ANY, _WRONG),
    _find("rare, a kind taken for it", _ANY, _MISTAKEN),
    _find("rare, refused region", _ANY, _REFUSED),
    _map("diagram, shuffled coordinates", _ANY, _SHUFFLED),
    _map("diagram, all alike", _ALIKE, _FAIR),
    _map("diagram, checkerboard", _BOARD, _FAIR),
    _map("diagram, few photons", _ANY, _STARVED),
    _map("diagram, 30 % wrong labels", _ANY, _WRONG),
    _map("diagram, a kind mistaken", _ANY, _MISTAKEN),
    _map("diagram, refused region", _ANY, _REFUSED),
)

SCENARIOS = (
    FIND_RARE,
    MAP_PHASES,
    *(replace(scenario, is_adversarial=False) for scenario in _FAIR_SCENARIOS),
    *_ADVERSARIAL_SCENARIOS,
)
"""All of them, the two with targets of their own first."""

QUICK = (
    FIND_RARE.name,
    MAP_PHASES.name,
    "rare, shuffled coordinates",
    "rare, sharp, far from all",
    "diagram, all alike",
)
"""Those that are enough to see that it runs."""


def grid_name(n_steps: int) -> str:
    """Return what a grid is called in results and table."""
    return f"{n_steps} x {n_steps} grid"
