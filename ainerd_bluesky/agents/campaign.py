"""What a person wants found out: one TOML file, validated key by key."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ainerd_bluesky.agents.candidates import (
    AxisConfig,
    CandidateConfig,
    GridConfig,
    read_candidates,
)
from ainerd_bluesky.agents.items import PlanTemplate
from ainerd_bluesky.agents.rules import AgentRules
from ainerd_bluesky.config import BeamlineConfig, load_beamline, load_toml
from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.profiles import beamline_path
from ainerd_bluesky.selection import (
    Candidate,
    Coverage,
    Novelty,
    SelectorSettings,
    Strategy,
    StrategySelector,
    Uncertainty,
    WantedLabel,
    WantedProperty,
    discovery,
    phase_boundary,
)
from ainerd_bluesky.vocabulary import DYNAMICS

__all__ = [
    "CampaignConfig",
    "PlanConfig",
    "PropertyConfig",
    "SelectorConfig",
    "load_campaign",
]

_STRATEGIES: dict[str, Callable[[], Strategy]] = {
    "discovery": discovery,
    "phase-boundary": phase_boundary,
    "novelty": Novelty,
    "uncertainty": Uncertainty,
    "coverage": Coverage,
}
# Decisions stand below a node of this name.
_NAME = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlanConfig(_Section):
    """The plan that measures a candidate."""

    name: str = "xpcs_scan"
    """As the queue server calls it; the beamline's `queue.allowed_plans` has to name
    it too."""
    sample_argument: str = "sample"
    """Argument that gets the name of the sample."""
    coordinate_arguments: dict[str, str] = {}
    """Argument that gets a coordinate, by the name of the axis."""
    arguments: dict[str, Any] = {}
    """All other arguments, such as `detector = "detector"` and `n_frames = 512`."""

    def template(self) -> PlanTemplate:
        """Return the plan to be filled in."""
        return PlanTemplate(
            self.name, self.sample_argument, self.coordinate_arguments, self.arguments
        )


class PropertyConfig(_Section):
    """A property of the dynamics that is to have a value."""

    key: str = Field(min_length=1)
    """Such as `relaxation_rate`, in 1/s, of the reference bin."""
    target: float
    """Wanted value."""
    tolerance: float
    """What counts as reached: in units of the property, or in decades if `is_log`."""
    is_log: bool = False
    """Whether to compare logarithms: rates and times span decades."""
    exploration: float = 0.3
    """Weight of what is not known against the chance to reach the target."""

    @model_validator(mode="after")
    def _check_property(self) -> "PropertyConfig":
        self.make()
        return self

    def make(self) -> WantedProperty:
        """Return the strategy that looks for it."""
        return WantedProperty(**dict(self))


class SelectorConfig(_Section):
    """How the next candidate is chosen."""

    strategy: Literal[
        "discovery", "phase-boundary", "novelty", "uncertainty", "coverage", "wanted",
        "property",
    ] = "discovery"  # fmt: skip
    """`discovery`: find rare dynamics. `phase-boundary`: where labels change.
    `wanted`: the labels of `wanted`. `property`: the value of `property`. The others by
    what they are called."""
    vocabulary: tuple[str, ...] = tuple(map(str, DYNAMICS))
    """Labels that results may have, besides `invalid`: a beamline's own words too."""
    wanted: dict[str, Annotated[float, Field(gt=0)]] = {}
    """Weight of each label that is looked for."""
    property: PropertyConfig | None = None
    """Value that is looked for."""
    max_remeasures: Annotated[int, Field(ge=0)] = 1
    """How often a candidate is tried again that was refused or gave nothing."""
    cost_weight: Annotated[float, Field(ge=0, le=1)] = 0.5
    """0: costs do not count; 1: score per second counts."""
    random_state: int = 0
    """Decides between candidates of the same score."""

    @model_validator(mode="after")
    def _check_wanted(self) -> "SelectorConfig":
        if (self.strategy == "wanted") != bool(self.wanted):
            raise ValueError("`wanted` names labels if the strategy is `wanted`")
        if (self.strategy == "property") != (self.property is not None):
            raise ValueError("`property` has a value if the strategy is `property`")
        return self

    def make(self) -> tuple[Strategy, SelectorSettings]:
        """Return strategy and settings of the selector."""
        settings = SelectorSettings(
            max_remeasures=self.max_remeasures,
            cost_weight=self.cost_weight,
            random_state=self.random_state,
        )
        if self.property is not None:
            return self.property.make(), settings
        if self.wanted:
            return WantedLabel(self.wanted), settings
        return _STRATEGIES[self.strategy](), settings


class CampaignConfig(_Section):
    """Everything an agent needs to know of one campaign."""

    name: Annotated[str, Field(pattern=_NAME)]
    """Stands in each run and decision: up to 100 letters, digits and . _ -"""
    beamline: str
    """Name of a beamline in the profiles, or its TOML file."""
    state: Path | None = None
    """Folder for the state; unset: `NAME-agent` beside this file."""
    n_scans: Annotated[int, Field(ge=1)]
    """Scans of the whole campaign."""
    max_awaited: Annotated[int, Field(ge=1)] = 3
    """Most decisions that are queued, running or without a label. With 1, each waits
    for the label of the one before."""
    label_timeout: Annotated[float, Field(gt=0)] = 600.0
    """Longest wait for one label, in seconds in which Tiled answers."""
    poll_interval: Annotated[float, Field(gt=0)] = 1.0
    """Seconds between two looks at the queue."""
    learns_from_others: bool = True
    """Whether scans that people make of a candidate, by its name, teach the
    selector."""
    plan: PlanConfig = PlanConfig()
    selector: SelectorConfig = SelectorConfig()
    axes: tuple[AxisConfig, ...] = ()
    candidates: tuple[CandidateConfig, ...] = ()
    """What can be measured; or name a file, or a grid."""
    candidates_file: Path | None = None
    """CSV with the columns `name` and those of the axes; `sample` and `exposure` if
    wanted."""
    grid: GridConfig | None = None
    """Every combination of values of the axes, for one sample."""

    @model_validator(mode="after")
    def _check_candidates(self) -> "CampaignConfig":
        given = [self.candidates, self.candidates_file, self.grid]
        if sum(map(bool, given)) != 1:
            raise ValueError("give one of `candidates`, `candidates_file` and `grid`")
        counts = Counter(candidate.name for candidate in self.candidates)
        twice = [name for name, count in counts.items() if count > 1]
        if twice:
            raise ValueError(f"candidates need names of their own, {twice} are not")
        return self

    @property
    def folder(self) -> Path:
        """Folder for the state."""
        return self.state or Path(f"{self.name}-agent")

    def make_selector(self) -> StrategySelector:
        """Return a selector that knows nothing yet."""
        strategy, settings = self.selector.make()
        candidates = [Candidate(**dict(item)) for item in self.candidates]
        axes = [axis.make() for axis in self.axes]
        return StrategySelector(
            candidates,
            strategy,
            axes=axes,
            vocabulary=self.selector.vocabulary,
            settings=settings,
        )

    def rules(self, beamline: BeamlineConfig) -> AgentRules:
        """Return what the agent may do: the beamline's limits are part of it."""
        return AgentRules(
            allowed_plans=beamline.queue.allowed_plans,
            max_items=beamline.queue.max_items,
            max_awaited=self.max_awaited,
            n_scans=self.n_scans,
            label_timeout=self.label_timeout,
            learns_from_others=self.learns_from_others,
        )


def load_campaign(path: Path) -> tuple[CampaignConfig, BeamlineConfig]:
    """Read the TOML file of a campaign, and that of its beamline.

    Parameters
    ----------
    path : Path
        The file; relative paths inside it start at its folder.

    Returns
    -------
    tuple of (CampaignConfig, BeamlineConfig)
        Validated, with absolute paths and all candidates.

    Raises
    ------
    ConfigError
        If a file is missing, not TOML or CSV, or has a key that is unknown, absent or
        out of bounds, the text names the file and each key; or if there is no such
        grid, the plan cannot be filled in, or would be the same scan for two
        candidates.
    """
    path = Path(path).absolute()
    campaign = load_toml(path, CampaignConfig)
    changes: dict[str, Any] = {"state": path.parent / campaign.folder}
    if campaign.candidates_file is not None:
        file = path.parent / campaign.candidates_file
        axes = [axis.name for axis in campaign.axes]
        changes["candidates"] = read_candidates(file, axes)
    try:
        if campaign.grid is not None:
            changes["candidates"] = campaign.grid.candidates(campaign.axes)
        campaign = campaign.model_copy(update=changes)
        _require_scans_apart(campaign)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    beside = path.parent / campaign.beamline
    beamline = beside if beside.is_file() else beamline_path(campaign.beamline)
    return campaign, load_beamline(beamline)


def _require_scans_apart(campaign: CampaignConfig) -> None:
    """Refuse a plan that cannot be filled in, or cannot tell two candidates apart."""
    names: dict[str, str] = {}
    for candidate, scan in _scans(campaign):
        other = names.setdefault(scan, candidate)
        if other != candidate:
            raise ConfigError(
                f"candidates {other!r} and {candidate!r} give the same scan, "
                f"{campaign.plan.name} with {scan}: let a plan set their coordinates, "
                "and name its arguments for them in plan.coordinate_arguments; or give "
                "each a sample of its own"
            )


def _scans(campaign: CampaignConfig) -> Iterator[tuple[str, str]]:
    """Yield the name of each candidate and the arguments of its scan, as JSON."""
    template = campaign.plan.template()
    axes = [axis.name for axis in campaign.axes]
    for item in campaign.candidates:
        names = axes or [f"x{column}" for column in range(len(item.coordinates))]
        coordinates = dict(zip(names, item.coordinates, strict=False))
        arguments = template.fill(Candidate(**dict(item)), coordinates)
        yield item.name, json.dumps(arguments, sort_keys=True)
