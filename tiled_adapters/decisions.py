"""Decisions of selectors in a catalog: one node each, with the runs that came of it."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import pandas as pd
from pydantic import TypeAdapter, ValidationError
from tiled.client.container import Container
from tiled.structures.core import StructureFamily
from tiled.validation_registration import ValidationError as SpecError

from ainerd_bluesky.errors import CatalogError, ConfigError, SelectionError
from ainerd_bluesky.json_values import as_json
from ainerd_bluesky.selection.decisions import Decision, Ranked
from tiled_adapters.catalog import beside, create_container, ensure_container
from tiled_adapters.publish import check_key, write_table
from tiled_adapters.specs import (
    DECISION,
    DECISIONS,
    DECISIONS_CATALOG,
    validate_choice,
)

__all__ = [
    "CampaignDecision",
    "DecisionsPublisher",
    "decision_from_node",
    "decision_from_start",
    "decisions_path",
]

_RANKED = "ranked"
_LONGEST_NAME = 100
_LARGEST = 50_000
"""Most characters of a decision in metadata, where each search would send them."""
_TRIES = 10
_TYPES = TypeAdapter(Decision)


@dataclass(frozen=True)
class CampaignDecision:
    """A decision in its campaign, with the run that came of it.

    Parameters
    ----------
    campaign : str
        Name of the campaign, which is a key in the catalog.
    decision : Decision
        Complete, the run's uid included.
    time : float
        When the run began, in seconds since 1970.
    other_sample : str
        What was measured in place of the choice, where a person wanted that.
    """

    campaign: str
    decision: Decision
    time: float
    other_sample: str = ""

    @property
    def facts(self) -> dict[str, Any]:
        """What the metadata tell whichever run came of it; the ranked are a table."""
        facts = self.decision.as_json()
        del facts["top"], facts["run_uid"]
        return {"campaign": self.campaign, "key": self.decision.key, **facts}

    @property
    def path(self) -> str:
        """Where it stands below the container of decisions."""
        return f"{self.campaign}/{self.decision.key}"

    def check(self) -> None:
        """Refuse what the catalog could not keep.

        Raises
        ------
        SelectionError
            If campaign, key or run could not be a name each, the decision is larger
            than metadata may be, or the run measured something else.
        """
        if self.other_sample:
            raise SelectionError(
                f"it chose {self.decision.chosen!r}, and a person had "
                f"{self.other_sample!r} measured in its place"
            )
        for name in (self.campaign, self.decision.key, self.decision.run_uid):
            _check_name(name)
        n_characters = len(json.dumps(self.facts))
        if n_characters > _LARGEST:
            raise SelectionError(
                f"a decision of {n_characters} characters is too large: at most "
                f"{_LARGEST} are kept besides its ranked candidates"
            )


def decisions_path(results: str) -> str:
    """Return the path of the container of decisions, which stands beside the results.

    Parameters
    ----------
    results : str
        Path of the container of results.

    Returns
    -------
    str
        Its path.

    Examples
    --------
    >>> decisions_path("processed/xpcs")
    'processed/decisions'
    """
    return beside(results, "decisions")


def decision_from_start(start: Mapping[str, Any]) -> CampaignDecision | None:
    """Read the decision that led to a run.

    Parameters
    ----------
    start : mapping
        Start document of the run, with `decision` and `campaign`.

    Returns
    -------
    CampaignDecision or None
        None for a run that no selector chose.

    Raises
    ------
    SelectionError
        If the decision is not one.
    """
    values = start.get("decision")
    if values is None:
        return None
    if not isinstance(values, Mapping):
        raise SelectionError(f"not a decision: {type(values).__name__} {values!r:.80}")
    decision = Decision.from_json(as_json(values)).of_run(str(start["uid"]))
    _check_types(decision)
    begun = start.get("time") or 0.0
    try:
        return CampaignDecision(
            str(start.get("campaign") or ""),
            decision,
            float(begun),
            _other_sample(start),
        )
    except (TypeError, ValueError) as error:
        raise SelectionError(f"a run cannot begin at {begun!r}") from error


def decision_from_node(node: Container) -> Decision:
    """Read a decision from the catalog.

    Parameters
    ----------
    node : Container
        Of a decision.

    Returns
    -------
    Decision
        With the run that came of it last.

    Raises
    ------
    SelectionError
        If the node is not one of a decision that is complete.
    """
    metadata = as_json(node.metadata)
    if metadata.get("status") != "complete":
        raise SelectionError(f"{node.uri} is no complete decision")
    names = {field.name for field in fields(Decision)} - {"top"}
    known = {name: metadata[name] for name in names if name in metadata}
    top = node[_RANKED].read().to_dict("records") if _RANKED in node else []
    return Decision.from_json({**known, "top": top})


class DecisionsPublisher:
    """Writes decisions below their campaigns; the same one again changes nothing.

    A decision is `writing` until the table of its candidates is there. A decision that
    led to several runs, as one that was taken again after a crash, stays one node.

    Parameters
    ----------
    root : Container
        Root of a server.
    results : str
        Path of the container of results; the decisions stand beside it.
    """

    def __init__(self, root: Container, results: str = "processed/xpcs") -> None:
        self._root = root
        self._path = decisions_path(results)

    def publish(self, made: CampaignDecision) -> str:
        """Write one decision.

        Parameters
        ----------
        made : CampaignDecision
            From `decision_from_start`.

        Returns
        -------
        str
            Path of its node below the container of decisions.

        Raises
        ------
        SelectionError
            If its names, its size or what it says cannot be, or another decision has
            its key already; that one stays.
        """
        made.check()
        run = {"uid": made.decision.run_uid, "time": made.time}
        metadata = {**made.facts, "run_uid": run["uid"], "runs": [run]}
        metadata["status"] = "writing"
        _require_valid(metadata)
        node = create_container(
            self._campaign(made.campaign),
            made.decision.key,
            metadata=metadata,
            specs=[DECISION],
        )
        there = {key: node.metadata.get(key) for key in made.facts}
        if there != made.facts:
            raise SelectionError(
                f"{made.path} is there already and chose {there['chosen']!r}, not "
                f"{made.decision.chosen!r}: give each campaign a name of its own"
            )
        if node.metadata["status"] != "complete":
            _write_ranked(node, made.decision)
            _set(node, {"/status": "complete", "/published": time.time()})
        _add_run(node, run)
        return made.path

    def _campaign(self, name: str) -> Container:
        campaign = self._root.get(f"{self._path}/{name}")
        if campaign is not None:
            return campaign
        catalog = ensure_container(self._root, self._path, DECISIONS_CATALOG)
        return create_container(catalog, name, specs=[DECISIONS])


def _other_sample(start: Mapping[str, Any]) -> str:
    """Return the sample of a run, if an agent wanted another; people edit its items."""
    agent = start.get("agent")
    wanted = agent.get("sample") if isinstance(agent, Mapping) else None
    measured = start.get("sample")
    return "" if None in (wanted, measured) or wanted == measured else str(measured)


def _check_types(decision: Decision) -> None:
    """Refuse what fits the names of a decision and not its types."""
    try:
        _TYPES.validate_json(json.dumps(decision.as_json()), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise SelectionError(
            f"not a decision: {where} is {first['input']!r:.80} ({first['msg']})"
        ) from error


def _require_valid(metadata: Mapping[str, Any]) -> None:
    """Refuse what a server would refuse, before a campaign is made for it."""
    try:
        validate_choice(DECISION, metadata, None, StructureFamily.container, None)
    except SpecError as error:
        raise SelectionError(f"not a decision: {error}") from error


def _check_name(name: str) -> None:
    """Refuse a name that could not be one step in the catalog."""
    try:
        check_key(name)
    except ConfigError as error:
        raise SelectionError(str(error)) from error
    if len(name) > _LONGEST_NAME:
        raise SelectionError(
            f"a name in the catalog has at most {_LONGEST_NAME} characters here, got "
            f"{name!r}"
        )


def _write_ranked(node: Container, decision: Decision) -> None:
    if decision.top:
        frame = pd.DataFrame([asdict(ranked) for ranked in decision.top])
        write_table(node, _RANKED, frame[[field.name for field in fields(Ranked)]])


def _add_run(node: Container, run: Mapping[str, Any]) -> None:
    """Add a run to those that came of a decision."""
    # Tiled keeps the last of two updates of one node: look whether ours is there. One
    # that is written between this look and the end of another's update may be lost.
    for _ in range(_TRIES):
        node.refresh()
        if run["uid"] in {one["uid"] for one in node.metadata["runs"]}:
            return
        _set(node, {"/runs/-": dict(run), "/run_uid": run["uid"]})
    raise CatalogError(
        f"run {run['uid']} could not be added to {node.uri} in {_TRIES} tries: others "
        "write all the time; try again"
    )


def _set(node: Container, values: Mapping[str, Any]) -> None:
    """Set values in the metadata by their JSON pointers; `-` is the end of a list."""
    patch = [{"op": "add", "path": path, "value": values[path]} for path in values]
    # Two revisions at once would be a server error, and they would say no more.
    node.patch_metadata(metadata_patch=patch, drop_revision=True)
