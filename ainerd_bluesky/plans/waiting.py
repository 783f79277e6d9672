"""Wait for labels without holding up the RunEngine, and without end."""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

from bluesky import plan_stubs as bps
from bluesky.utils import MsgGenerator

from ainerd_bluesky.selection.protocols import Results

__all__ = ["wait_for_label", "wait_for_labels"]

logger = logging.getLogger(__name__)

_PATIENCE = 5.0
"""Seconds beyond the limit that whoever knows the results may take to answer."""

Summary = dict[str, Any]


def wait_for_label(
    results: Results, run_uid: str, timeout: float
) -> MsgGenerator[Summary | None]:
    """Wait for the result of a run while the RunEngine's loop goes on.

    Parameters
    ----------
    results : Results
        Knows the results, such as a `ResultFollower`.
    run_uid : str
        Uid of the run.
    timeout : float
        Longest wait, in seconds.

    Yields
    ------
    msg : Msg
        Plan messages.

    Returns
    -------
    dict or None
        Summary of the result; None if there is none in time, or if whoever should know
        cannot be asked, which is logged.
    """
    found = yield from wait_for_labels(results, [run_uid], timeout)
    return found.get(run_uid)


def wait_for_labels(
    results: Results, run_uids: Sequence[str], timeout: float
) -> MsgGenerator[dict[str, Summary]]:
    """Wait for the results of several runs at once.

    Parameters
    ----------
    results : Results
        Knows the results.
    run_uids : sequence of str
        Uids of the runs.
    timeout : float
        Longest wait for all of them, in seconds.

    Yields
    ------
    msg : Msg
        Plan messages.

    Returns
    -------
    dict of str to dict
        Summary of each result that came, by the uid of its run, in the order asked.
    """
    found: dict[str, Summary] = {}

    async def ask(run_uid: str) -> None:
        # Not by the message's response: after a pause there is none.
        if summary := await _ask(results, run_uid, timeout):
            found[run_uid] = summary

    if run_uids:
        yield from bps.wait_for([partial(ask, run_uid) for run_uid in run_uids])
    return {uid: found[uid] for uid in run_uids if uid in found}


async def _ask(results: Results, run_uid: str, timeout: float) -> Summary | None:
    try:
        async with asyncio.timeout(timeout + _PATIENCE):
            return await results.wait(run_uid, timeout)
    except Exception as error:  # noqa: BLE001 - a server that is down ends no series
        logger.warning("no result of run %s can be asked for: %r", run_uid, error)
        return None
