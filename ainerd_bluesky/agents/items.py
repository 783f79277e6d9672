"""What an agent writes on its items, and how it knows them again."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ainerd_bluesky.agents.protocols import Item, Mark
from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.json_values import as_json
from ainerd_bluesky.selection import Candidate, Decision

__all__ = ["PlanTemplate", "decision_meta", "items_by_key", "read_mark"]

_AGENT = "agent"


@dataclass(frozen=True)
class PlanTemplate:
    """Plan that measures a candidate.

    Parameters
    ----------
    name : str
        Of the plan, as the queue server knows it.
    sample_argument : str
        Argument that gets the name of the sample.
    coordinate_arguments : mapping of str to str
        Argument that gets a coordinate, by the name of the axis.
    arguments : mapping of str to Any
        All other arguments, the same for each candidate.

    Raises
    ------
    ConfigError
        If an argument is given twice, or is no JSON value.

    Examples
    --------
    >>> template = PlanTemplate("xpcs_scan", arguments={"n_frames": 512})
    >>> template.fill(Candidate("A at 20 C", (20.0,), sample="A"), {"T": 20.0})
    {'n_frames': 512, 'sample': 'A'}
    """

    name: str
    sample_argument: str = "sample"
    coordinate_arguments: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        chosen = [self.sample_argument, *self.coordinate_arguments.values()]
        twice = {name for name in chosen if chosen.count(name) > 1}
        twice |= set(chosen) & set(self.arguments)
        if twice:
            raise ConfigError(f"plan {self.name!r} gets {sorted(twice)} more than once")
        try:
            json.dumps(dict(self.arguments), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"plan {self.name!r} gets arguments {dict(self.arguments)!r}, which a "
                f"queue cannot keep ({error}): give finite numbers, texts, lists and "
                "tables of them"
            ) from error

    def fill(
        self, candidate: Candidate, coordinates: Mapping[str, float]
    ) -> dict[str, Any]:
        """Return the arguments for a candidate.

        Parameters
        ----------
        candidate : Candidate
            What to measure.
        coordinates : mapping of str to float
            Where it lies, by the names of the axes.

        Returns
        -------
        dict
            JSON values.

        Raises
        ------
        ConfigError
            If an axis is named that the candidates do not have.
        """
        missing = sorted(set(self.coordinate_arguments) - set(coordinates))
        if missing:
            raise ConfigError(
                f"plan {self.name!r} wants coordinates {missing}; candidates have "
                f"{sorted(coordinates)}"
            )
        conditions = {
            argument: coordinates[axis]
            for axis, argument in self.coordinate_arguments.items()
        }
        sample = candidate.sample or candidate.name
        return {**self.arguments, self.sample_argument: sample, **conditions}


def decision_meta(
    agent: str,
    campaign: str,
    decision: Decision,
    template: PlanTemplate,
    arguments: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what an item carries into the start document of its run.

    Parameters
    ----------
    agent : str
        Id of the agent.
    campaign : str
        What it works for.
    decision : Decision
        What the item carries out.
    template : PlanTemplate
        Plan of the item.
    arguments : mapping of str to Any
        From `template.fill`.

    Returns
    -------
    dict
        JSON values under `agent`, `campaign` and `decision`. What the agent wanted
        done stands there too, since people may edit the item.
    """
    return {
        _AGENT: {
            "id": agent,
            "key": decision.key,
            "sample": arguments[template.sample_argument],
            "plan": template.name,
            "arguments": as_json(arguments),
        },
        "campaign": campaign,
        "decision": decision.as_json(),
    }


def read_mark(meta: object) -> Mark | None:
    """Tell who added an item by what it carries.

    Parameters
    ----------
    meta : object
        Of the item, as the server has it: whatever anybody wrote there.

    Returns
    -------
    Mark or None
        None where no agent of this suite has signed.

    Examples
    --------
    >>> read_mark({"agent": {"id": "peptide-1a", "key": "decision-000001-ab"}}).agent
    'peptide-1a'
    >>> read_mark({"purpose": "alignment"}) is None
    True
    """
    signed = meta.get(_AGENT) if isinstance(meta, Mapping) else None
    if not isinstance(meta, Mapping) or not isinstance(signed, Mapping):
        return None
    if not isinstance(signed.get("id"), str):
        return None
    campaign, key = meta.get("campaign"), signed.get("key")
    plan, arguments = signed.get("plan"), signed.get("arguments")
    return Mark(
        signed["id"],
        str(campaign or ""),
        str(key or ""),
        str(plan or ""),
        arguments if isinstance(arguments, Mapping) else {},
    )


def items_by_key(items: Iterable[Item], agent: str) -> dict[str, Item]:
    """Return the items of an agent by the decision that each carries out.

    Parameters
    ----------
    items : iterable of Item
        Of the queue or the history.
    agent : str
        Id of the agent.

    Returns
    -------
    dict of str to Item
        Of several for one decision, the first.
    """
    found: dict[str, Item] = {}
    for item in items:
        if item.mark is not None and item.mark.agent == agent and item.mark.key:
            found.setdefault(item.mark.key, item)
    return found
