"""Why runs were measured, and what came of it: in words and as a table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from tiled.client.container import Container
from tiled.queries import Eq, In, Like

from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection.decisions import Decision
from ainerd_bluesky.vocabulary import Label
from tiled_adapters.decisions import (
    CampaignDecision,
    decision_from_node,
    decision_from_start,
    decisions_path,
)
from tiled_adapters.decisions_client import decisions_table
from tiled_adapters.summaries import UIDS_AT_ONCE, summary_rows

__all__ = ["DecisionStory", "find_story", "list_decisions", "tell_story"]

_SHORTEST_UID = 6
# The largest number that the databases of Tiled can look for.
_LARGEST_SCAN_ID = 2**63 - 1


@dataclass(frozen=True)
class DecisionStory:
    """A decision, and what came of it.

    Parameters
    ----------
    run_uid : str
        The run.
    campaign : str
        Campaign of the decision.
    decision : Decision
        Why the run was measured.
    source : str
        Path in the catalog of what this was read from.
    is_published : bool
        Whether the decision stands below the container of decisions; if not, it was
        read from the run's start document.
    result : mapping
        Summary of the run's result; empty if there is none.
    stop : mapping or None
        Stop document of the run; empty if it has not ended, None if the run is not in
        the catalog.
    other_sample : str
        What was measured in place of the choice, where a person wanted that.
    """

    run_uid: str
    campaign: str
    decision: Decision
    source: str
    is_published: bool
    result: Mapping[str, Any]
    stop: Mapping[str, Any] | None
    other_sample: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the story as JSON values."""
        quality = self.result.get("quality") or {}
        return {
            "run_uid": self.run_uid,
            "campaign": self.campaign,
            "decision": self.decision.as_json(),
            "source": self.source,
            "is_published": self.is_published,
            "label": self.result.get("label"),
            "confidence": self.result.get("confidence"),
            "quality_reasons": list(quality.get("reasons") or ()),
            "exit_status": (self.stop or {}).get("exit_status"),
            "other_sample": self.other_sample or None,
        }


def find_story(
    root: Container, run: str, *, results: str = "processed/xpcs", raw: str = "raw"
) -> DecisionStory:
    """Find out why a run was measured.

    Parameters
    ----------
    root : Container
        Root of a server.
    run : str
        Uid of the run, its first characters, or its scan id, of which the last counts.
    results, raw : str
        Paths of the containers of results and of runs.

    Returns
    -------
    DecisionStory
        From the decisions of the catalog, or from the run's start document where the
        decision was not brought there.

    Raises
    ------
    SelectionError
        If there is no such run, no selector chose it, or its decision is none.
    """
    documents = _documents(root.get(raw), run)
    if documents is None:
        return _from_decisions(root, run, results)
    start = documents["start"]
    uid = str(start["uid"])
    try:
        made = decision_from_start(start)
    except SelectionError as error:
        raise SelectionError(f"run {uid}: {error}") from error
    if made is None:
        raise SelectionError(f"run {uid} has no decision: no selector chose it")
    path = f"{decisions_path(results)}/{made.path}"
    is_published = _is_published(root, path, made)
    return DecisionStory(
        run_uid=uid,
        campaign=made.campaign,
        decision=made.decision,
        source=path if is_published else f"{raw}/{uid}",
        is_published=is_published,
        result=_summary(root, results, uid),
        stop=documents.get("stop") or {},
        other_sample=made.other_sample,
    )


def tell_story(story: DecisionStory) -> list[str]:
    """Tell in sentences why a run was measured and what it gave.

    Parameters
    ----------
    story : DecisionStory
        From `find_story`.

    Returns
    -------
    list of str
        What was chosen out of how many, the selector's reason, what was known then,
        what a person measured in its place if so, and what the run gave; one sentence
        each.
    """
    decision, other = story.decision, story.other_sample
    known = ", ".join(f"{name} {value:.3g}" for name, value in decision.values.items())
    n_known = _count(decision.n_observations, "result")
    place = ", ".join(f"{name} {at:g}" for name, at in decision.coordinates.items())
    return [
        f"{decision.chosen}{_in_brackets(place)} was chosen by {decision.strategy} "
        f"out of {_count(decision.n_candidates, 'candidate')}: decision "
        f"{decision.number} of {story.campaign or 'no campaign'}.",
        decision.reason,
        f"Known then: {n_known}" + (f"; {known}." if known else "."),
        *([f"A person had {other} measured in its place."] if other else []),
        _outcome(story),
    ]


def list_decisions(
    root: Container,
    campaign: str | None = None,
    *,
    last: int | None = None,
    results: str = "processed/xpcs",
) -> pd.DataFrame:
    """List decisions with what came of them.

    Parameters
    ----------
    root : Container
        Root of a server.
    campaign : str, optional
        One campaign; unset: all.
    last : int, optional
        Only so many, the newest; unset: all.
    results : str
        Path of the container of results.

    Returns
    -------
    pandas.DataFrame
        `XPCSDecisions.decisions_table` with `label` and `confidence` of the runs, nan
        where there is no result; the newest last.

    Raises
    ------
    SelectionError
        If there is no such campaign.
    """
    path = decisions_path(results)
    catalog = root.get(path)
    names = [] if catalog is None else sorted(catalog)
    if campaign is not None and campaign not in names:
        raise SelectionError(
            f"no campaign {campaign!r} in {path}; campaigns are: "
            f"{', '.join(names) or 'none yet'}"
        )
    frame = decisions_table(catalog[n] for n in names if campaign in {None, n})
    if last is not None:
        frame = frame.tail(last).reset_index(drop=True)
    labels = _labels(root[results], list(frame["run_uid"]))
    return frame.merge(labels, how="left", on="run_uid")


def _labels(results: Container, uids: list[str]) -> pd.DataFrame:
    """Return label and confidence of each run that has a result."""
    columns = {name: name for name in ("run_uid", "label", "confidence")}
    complete = results.search(Eq("status", "complete"))
    rows = [
        row
        for start in range(0, len(uids), UIDS_AT_ONCE)
        for row in summary_rows(
            complete.search(In("run_uid", uids[start : start + UIDS_AT_ONCE])), columns
        )
    ]
    return pd.DataFrame(rows, columns=list(columns))


def _outcome(story: DecisionStory) -> str:
    label = story.result.get("label")
    if label == Label.INVALID:
        reasons = (story.result.get("quality") or {}).get("reasons") or ["no reason"]
        return f"The run was refused: {'; '.join(reasons)}."
    if label is not None:
        confidence = story.result.get("confidence")
        sure = "" if confidence is None else f"{confidence:.2f}"
        return f"The run gave {label}{_in_brackets(sure)}."
    return f"The run has no result: {_ending(story.stop)}."


def _ending(stop: Mapping[str, Any] | None) -> str:
    """Tell how a run ended that has no result."""
    if stop is None:
        return "it is not in the catalog"
    if not stop:
        return "it has not ended"
    status = stop["exit_status"]
    if status != "success":
        why = f": {stop['reason']}" if stop.get("reason") else ""
        return f"it ended with {status!r}{why}"
    return "it ended well, see `ainerd check`"


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _documents(raw: Container | None, run: str) -> dict[str, Any] | None:
    """Return the documents of a run; None if the catalog has no such run."""
    if raw is None:
        return None
    if len(run) >= _SHORTEST_UID:
        found = raw.search(Like("start.uid", f"{run}%"))
        # To the server, case does not matter and _ is any character.
        uids = [uid for uid in found if uid.startswith(run)]
        if len(uids) > 1 and run not in uids:
            raise SelectionError(f"{run} may be any of {', '.join(uids)}")
        if uids:
            return dict(raw[run if run in uids else uids[0]].metadata)
    is_number = run.isdecimal() and len(run) <= len(str(_LARGEST_SCAN_ID))
    if is_number and 0 < int(run) <= _LARGEST_SCAN_ID:
        try:
            return dict(raw[int(run)].metadata)
        except KeyError:
            return None
    return None


def _is_published(root: Container, path: str, made: CampaignDecision) -> bool:
    try:
        made.check()
    except SelectionError:  # not even a name: nothing was published
        return False
    node = root.get(path)
    runs = () if node is None else node.metadata.get("runs", ())
    return made.decision.run_uid in {run["uid"] for run in runs}


def _from_decisions(root: Container, run: str, results: str) -> DecisionStory:
    """Look among the decisions: the runs may be kept elsewhere."""
    path = decisions_path(results)
    catalog = root.get(path)
    if len(run) < _SHORTEST_UID or catalog is None:
        raise SelectionError(
            f"no run {run}: give its scan id, its uid, or the first {_SHORTEST_UID} "
            "characters of it"
        )
    try:
        node = catalog.of_run(run)
    except KeyError as error:
        raise SelectionError(str(error.args[0])) from error
    uid = next(one for one in node.run_uids if one.startswith(run))
    campaign = str(node.metadata["campaign"])
    return DecisionStory(
        run_uid=uid,
        campaign=campaign,
        decision=decision_from_node(node).of_run(uid),
        source=f"{path}/{campaign}/{node.item['id']}",
        is_published=True,
        result=_summary(root, results, uid),
        stop=None,
    )


def _summary(root: Container, results: str, uid: str) -> Mapping[str, Any]:
    node = root.get(f"{results}/{uid}")
    summary: Mapping[str, Any] = {} if node is None else node.metadata
    return summary
