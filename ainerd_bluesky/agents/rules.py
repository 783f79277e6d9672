"""What an agent may do, and what it would."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["AgentRules", "Proposal"]


@dataclass(frozen=True)
class AgentRules:
    """What an agent may do.

    Parameters
    ----------
    allowed_plans : collection of str
        It adds no other plan, whatever its campaign says.
    max_items : int
        Most of its items that wait or run.
    max_awaited : int
        Most of its decisions that are queued, running or without a label: the more,
        the less each of them knows.
    n_scans : int
        Scans of the whole campaign.
    label_timeout : float
        Longest wait for one label, in seconds.
    max_failures : int
        After so many failed items in a row it stops.
    learns_from_others : bool
        Whether scans that people make of the same samples teach the selector.
    """

    allowed_plans: Collection[str] = ("xpcs_scan",)
    max_items: int = 2
    max_awaited: int = 3
    n_scans: int = 100
    label_timeout: float = 600.0
    max_failures: int = 3
    learns_from_others: bool = True


@dataclass(frozen=True)
class Proposal:
    """What an agent would add.

    Parameters
    ----------
    plan : str
        Name of the plan.
    arguments : mapping of str to Any
        Its arguments.
    reason : str
        Why this candidate.
    score, cost : float
        Of the decision; the cost in seconds.
    """

    plan: str
    arguments: Mapping[str, Any]
    reason: str
    score: float
    cost: float
