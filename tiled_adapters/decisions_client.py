"""Decisions of selectors as people hold them in their hands: objects and tables."""

import logging
from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd
from tiled.client.container import Container
from tiled.queries import Contains, Eq

from ainerd_bluesky.selection.decisions import Decision
from tiled_adapters.decisions import decision_from_node
from tiled_adapters.specs import is_run_of_choice
from tiled_adapters.summaries import summary_rows

__all__ = ["XPCSDecision", "XPCSDecisions", "XPCSDecisionsCatalog", "decisions_table"]

logger = logging.getLogger(__name__)

_COLUMNS = {
    "campaign": "campaign",
    "key": "key",
    "number": "number",
    "chosen": "chosen",
    "strategy": "strategy",
    "score": "score",
    "cost": "cost",
    "reason": "reason",
    "n_candidates": "n_candidates",
    "n_observations": "n_observations",
    "state_hash": "state_hash",
}
"""Columns of the table of decisions, and where they stand in a decision's metadata."""


class XPCSDecisionsCatalog(Container):
    """The decisions of all campaigns of a server."""

    def decisions_table(self) -> pd.DataFrame:
        """Return one row per run that a selector chose.

        Returns
        -------
        pandas.DataFrame
            As of `XPCSDecisions.decisions_table`, in the order in which the runs began.
        """
        return decisions_table(self.values())

    def of_run(self, uid: str) -> "XPCSDecision":
        """Find the decision that led to a run, in whichever campaign.

        Parameters
        ----------
        uid : str
            Of the run; its first characters may be enough.

        Returns
        -------
        XPCSDecision
            The one decision of that run.

        Raises
        ------
        KeyError
            If there is none, or several runs begin so.
        """
        # The server finds the text anywhere in the metadata: it only narrows down.
        alike = {
            row["run_uid"]: (row["campaign"], row["key"])
            for campaign in self.values()
            for row in _rows(campaign.search(Contains("runs", uid)))
            if row["run_uid"].startswith(uid)
        }
        if not alike:
            raise KeyError(f"no decision of a run {uid}")
        if len(alike) > 1 and uid not in alike:
            raise KeyError(f"{uid} may be any of {', '.join(sorted(alike))}")
        decision: XPCSDecision = self[alike.get(uid) or next(iter(alike.values()))]
        return decision


class XPCSDecisions(Container):
    """The decisions of one campaign, one node each."""

    def decisions_table(self) -> pd.DataFrame:
        """Return one row per run that the selector of the campaign chose.

        Returns
        -------
        pandas.DataFrame
            Campaign, key of the node, number, what was chosen by which strategy, score,
            cost in seconds, reason, number of candidates and of results known then,
            hash of the selector's state, uid of the run and when it began in seconds
            since 1970; in the order in which the runs began.
        """
        return decisions_table([self])


class XPCSDecision(Container):
    """One decision of a selector: what, out of what, why, and the runs of it."""

    @property
    def decision(self) -> Decision:
        """The decision as the selector made it, with the run that came of it last."""
        return decision_from_node(self)

    @property
    def ranked(self) -> pd.DataFrame:
        """The best five candidates, best first, with scores and costs in seconds."""
        frame: pd.DataFrame = self["ranked"].read()
        return frame

    @property
    def reason(self) -> str:
        """Why it was chosen, in a sentence."""
        return str(self.metadata["reason"])

    @property
    def run_uids(self) -> tuple[str, ...]:
        """Runs that came of it: one, or several if the decision was taken again."""
        return tuple(run["uid"] for run in self.metadata["runs"])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.item['id']}: {self.reason}>"


def decisions_table(campaigns: Iterable[Container]) -> pd.DataFrame:
    """Return one row per run that a selector chose, as `XPCSDecisions` has them.

    Parameters
    ----------
    campaigns : iterable of Container
        Nodes of campaigns.

    Returns
    -------
    pandas.DataFrame
        In the order in which the runs began.
    """
    rows = [row for campaign in campaigns for row in _rows(campaign)]
    frame = pd.DataFrame(rows, columns=[*_COLUMNS, "run_uid", "time"])
    return frame.sort_values(["time", "number"], ignore_index=True)


def _rows(campaign: Container) -> Iterator[dict[str, Any]]:
    """Yield one row per run of a campaign, or of what a search found in it."""
    found = campaign.search(Eq("status", "complete"))
    for row in summary_rows(found, {**_COLUMNS, "runs": "runs"}):
        runs = row.pop("runs")
        if not isinstance(runs, list) or not all(map(is_run_of_choice, runs)):
            logger.warning("decision %s has no list of runs: left out", row["key"])
            continue
        for run in runs:
            yield {**row, "run_uid": run["uid"], "time": run["time"]}
