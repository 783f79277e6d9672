"""A series of scans that chooses for itself what to measure next."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Unpack

from bluesky import plan_stubs as bps
from bluesky.protocols import Movable, Readable
from bluesky.utils import (
    FailedPause,
    IllegalMessageSequence,
    MsgGenerator,
    RunEngineControlException,
)

from ainerd_bluesky.errors import ConfigError, NoLabelsError, SpotError
from ainerd_bluesky.plans.campaign import Campaign, sample_of
from ainerd_bluesky.plans.limits import Budget, Goal, check_goal
from ainerd_bluesky.plans.resuming import as_resumable, open_campaign
from ainerd_bluesky.plans.scan import (
    Detector,
    Exposure,
    ScanSettings,
    record_frames,
    start_document,
)
from ainerd_bluesky.plans.spots import Spot, Spots
from ainerd_bluesky.plans.waiting import wait_for_labels
from ainerd_bluesky.selection.locking import lock_state
from ainerd_bluesky.selection.protocols import (
    Candidate,
    Results,
    Selector,
    Suggestion,
    TellsFailures,
)

__all__ = ["autonomous_xpcs"]

logger = logging.getLogger(__name__)

# No failure of a scan: what the operator did, a run that cannot be opened or closed.
_OF_THE_SESSION = (RunEngineControlException, FailedPause, IllegalMessageSequence)
# What the plan itself says in each start document.
_RESERVED = ("campaign", "decision", "sample", "spot")


def autonomous_xpcs(  # noqa: PLR0913 - keyword-only, as an operator types them
    detector: Detector,
    stage: Movable[str],
    selector: Selector,
    results: Results,
    *,
    n_scans: int | None = None,
    budget: Budget | None = None,
    goal: Goal | None = None,
    spots: Spots | None = None,
    campaign: str = "",
    timeout: float = 60.0,
    max_failures: int = 3,
    state_path: Path | str | None = None,
    **scan_settings: Unpack[ScanSettings],
) -> MsgGenerator[list[str]]:
    """Let a selector choose sample after sample by what it learned so far.

    The series ends when the goal or the budget is reached, or no candidate is left.

    Each start document holds the decision and the campaign that led to the run. A
    result that does not come in time is asked for again before each later choice; one
    that the selector cannot use is logged. A scan that fails is given up and the next
    candidate chosen. After an abort, stop or halt, what was suggested and not measured
    is released. A pause lets an exposure end and does not repeat it.

    Results of earlier runs of the same selector are asked for first. With a state file,
    the same call after a crash goes on where the series was, and nothing is scanned
    twice; one plan at a time may use the file.

    A dry run, in which nobody carries out the messages, ends after one scan. It works
    on a copy of the selector and writes no file.

    Parameters
    ----------
    detector : Detector
        Detector of ophyd-async.
    stage : Movable
        Brings a candidate into the beam by its name.
    selector : Selector
        Chooses; told of each label.
    results : Results
        Knows the labels, such as a `ResultFollower`.
    n_scans : int, optional
        Most scans of the series; short for a budget of scans.
    budget : Budget, optional
        Most scans, beam time and time of the series.
    goal : callable, optional
        Takes all observations and tells whether they are enough, such as `LabelFound`.
    spots : Spots, optional
        Places inside the samples with their limits of dose; a sample drops out as
        long as it has no fresh one.
    campaign : str, optional
        Name under which the decisions are kept; unset: a new one with today's date.
    timeout : float, optional
        Longest wait for one label, in seconds.
    max_failures : int, optional
        So many scans that fail one after another end the series with the last error;
        so many runs in a row without a usable result, with a `NoLabelsError`.
    state_path : Path or str, optional
        File of the state, written at each event; held by another plan it is a
        `StateInUseError`.
    **scan_settings : optional
        For each `xpcs_scan`: ``n_frames``, ``frame_time``, ``md``; campaign, decision,
        sample and spot are the plan's to say.

    Yields
    ------
    msg : Msg
        Plan messages.

    Returns
    -------
    list of str
        Uids of the runs.

    Raises
    ------
    ConfigError
        If a setting cannot be used.
    """
    if max_failures < 1 or not timeout >= 0:
        raise ConfigError(
            f"need max_failures >= 1 and timeout >= 0, got {max_failures} and {timeout}"
        )
    limits = budget or Budget()
    if n_scans is not None:
        limits = replace(limits, max_scans=n_scans)
    check_goal(goal, selector)
    _require_results(results)
    md = _free_metadata(scan_settings.pop("md", None))
    exposure = Exposure(**scan_settings)  # type: ignore[misc] # md is out
    if spots is not None:
        spots.dose_of(exposure.seconds)
        if state_path is None:
            logger.warning("doses are known until this session ends: set state_path")

    path = None if state_path is None else Path(state_path)
    if path is not None:
        as_resumable(selector)
    with nullcontext() if path is None else lock_state(path):
        is_dry = yield from _is_dry_run()
        opened = partial(open_campaign, selector, name=campaign, spots=spots, path=path)
        book = yield from _open(partial(opened, is_dry=is_dry))
        beamline = _Beamline(detector, stage, results, timeout)
        series = _Series(beamline, book, exposure, md, limits, goal, max_failures)
        try:
            run_uids = yield from series.run()
        finally:
            # No messages from here on: after a halt nobody would carry them out.
            book.give_up(is_tried=False)
    return run_uids


def _require_results(results: object) -> None:
    if not isinstance(results, Results):
        raise ConfigError(
            "results need a method `wait(run_uid, timeout)`, such as `ainerd.follower` "
            f"has, got {results!r}"
        )


def _is_dry_run() -> MsgGenerator[bool]:
    """Tell whether nobody carries out the messages."""
    carried_out = []

    async def note() -> None:
        carried_out.append(True)

    yield from bps.wait_for([note])
    return not carried_out


def _open(open_one: Callable[[], Campaign]) -> MsgGenerator[Campaign]:
    """Open a campaign while the RunEngine's loop goes on: many results take seconds."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        opening = pool.submit(open_one)
        # After a pause the message comes again, and waits for the same.
        yield from bps.wait_for([partial(asyncio.to_thread, wait, [opening])])
        return opening.result()


def _free_metadata(md: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what may be added to start documents."""
    taken = [key for key in _RESERVED if key in (md or {})]
    if taken:
        raise ConfigError(
            f"md cannot say {', '.join(taken)}: the plan does; name the campaign with "
            "campaign=, a sample in its Candidate"
        )
    return dict(md or {})


@dataclass(frozen=True)
class _Beamline:
    """Where a series is measured, and who knows its labels."""

    detector: Detector
    stage: Movable[str]
    results: Results
    timeout: float


@dataclass(frozen=True)
class _Entry:
    """Books one exposure in a campaign."""

    campaign: Campaign
    seconds: float
    spot: Spot | None

    def begin(self, run_uid: str) -> None:
        """Book it."""
        self.campaign.begin(run_uid, self.seconds, self.spot)

    def end(self) -> None:
        """Await its result."""
        self.campaign.end()


@dataclass
class _Series:
    beamline: _Beamline
    campaign: Campaign
    exposure: Exposure
    md: Mapping[str, Any]
    budget: Budget
    goal: Goal | None
    max_failures: int
    run_uids: list[str] = field(default_factory=list)
    n_failed: int = 0
    dropped: set[str] = field(default_factory=set)

    def run(self) -> MsgGenerator[list[str]]:
        """Scan until something ends the series; return the runs."""
        yield from self._learn(list(self.campaign.awaited), self.beamline.timeout)
        self.campaign.drop_interrupted()
        # What earlier sessions met may have been put right.
        self.campaign.useless.clear()
        while not (why := self._why_stop()):
            yield from bps.checkpoint()
            if why := (yield from self._step()):
                break
        self._tell_end(why)
        return self.run_uids

    def _why_stop(self) -> str:
        if self.goal is not None and self.goal(self.campaign.observations):
            return f"{self.goal} is reached"
        return self.campaign.spent.why_stop(self.budget, self.exposure.seconds)

    def _step(self) -> MsgGenerator[str]:
        """Measure one more candidate; return why there is none, if so."""
        suggestion = self.campaign.suggest(self.exposure.seconds)
        if suggestion is None:
            # Late results may free a candidate, or reach the goal.
            n_learned = yield from self._learn_all(self.campaign.expected)
            return "" if n_learned > 0 else "no candidate is left"
        logger.info("next %s", suggestion.reason)
        try:
            spot = self._fresh_spot(suggestion.candidate)
        except SpotError as error:
            return self._drop_out(suggestion.candidate.name, error)
        return (yield from self._measure(suggestion, spot))

    def _measure(self, suggestion: Suggestion, spot: Spot | None) -> MsgGenerator[str]:
        """Scan, and learn the result; return why nothing can follow, if so."""
        try:
            run_uid = yield from self._scan(suggestion, spot)
        except _OF_THE_SESSION:
            raise
        except Exception:
            # What fails after the run was recorded is no failure of the scan.
            if not self.campaign.is_under_way:
                raise
            self.n_failed += 1
            name = suggestion.candidate.name
            logger.exception("scan of %r failed, %d in a row", name, self.n_failed)
            self.campaign.give_up(is_tried=True)
            if self.n_failed >= self.max_failures:
                raise
            return ""
        if not run_uid:
            return "a dry run has no runs"
        self.n_failed = 0
        self.run_uids.append(run_uid)
        yield from self._learn_all([run_uid])
        return ""

    def _fresh_spot(self, candidate: Candidate) -> Spot | None:
        spots = self.campaign.spots
        if spots is None:
            return None
        dose = spots.dose_of(self.exposure.seconds)
        return spots.fresh(sample_of(candidate), dose)

    def _drop_out(self, name: str, error: SpotError) -> str:
        """Give up a candidate; tell why that ends the series, if so."""
        logger.warning("candidate %r drops out: %s", name, error)
        self.campaign.drop_out()
        if name in self.dropped and not self.campaign.heeds_releases:
            return f"{name!r} has no fresh spot and was suggested again"
        self.dropped.add(name)
        return ""

    def _learn_all(self, latest: Sequence[str]) -> MsgGenerator[int]:
        """Wait for the latest results, and take what came late of the others."""
        n_learned = yield from self._learn(latest, self.beamline.timeout)
        others = [uid for uid in self.campaign.unanswered if uid not in latest]
        n_learned += yield from self._learn(others, 0.0)
        self._require_labels()
        return n_learned

    def _require_labels(self) -> None:
        """Expose nothing more for an analysis that is broken."""
        useless = self.campaign.useless
        if len(useless) >= self.max_failures:
            raise NoLabelsError(
                f"{len(useless)} runs in a row gave no usable result, the last of them "
                f"{useless[-1]}: see the log and `ainerd check`, then call the plan "
                "again"
            )

    def _learn(self, run_uids: Sequence[str], timeout: float) -> MsgGenerator[int]:
        """Learn what comes in time, if only that nothing will; return how many."""
        results, campaign = self.beamline.results, self.campaign
        limit = max(0.0, min(timeout, campaign.spent.seconds_left(self.budget)))
        found = yield from wait_for_labels(results, run_uids, limit)
        for run_uid, summary in found.items():
            campaign.learn(run_uid, summary)
        if not isinstance(results, TellsFailures):
            return len(found)
        failed = [uid for uid in campaign.expected if results.has_failed(uid)]
        for run_uid in failed:
            campaign.drop_failed(run_uid)
        return len(found) + len(failed)

    def _tell_end(self, why: str) -> None:
        name, awaited = self.campaign.name, list(self.campaign.awaited)
        logger.info("campaign %s ends after %d runs: %s", name, len(self.run_uids), why)
        if awaited:
            logger.warning("%d runs have no label yet: %s", len(awaited), awaited)

    def _scan(self, suggestion: Suggestion, spot: Spot | None) -> MsgGenerator[str]:
        beamline, name = self.beamline, suggestion.candidate.name
        start = start_document(beamline.detector, beamline.stage, name, self.exposure)
        start |= self._facts(suggestion, spot) | dict(self.md)
        others: list[Any] = [beamline.stage]
        yield from bps.mv(beamline.stage, name)
        if spot is not None and self.campaign.spots is not None:
            motors = self.campaign.spots.motors
            others += [motor for motor in motors if isinstance(motor, Readable)]
            yield from bps.mv(*chain(*zip(motors, spot.position, strict=True)))
        entry = _Entry(self.campaign, self.exposure.seconds, spot)
        return (
            yield from record_frames(
                beamline.detector, others, self.exposure, start, entry
            )
        )

    def _facts(self, suggestion: Suggestion, spot: Spot | None) -> dict[str, Any]:
        """Return what the start document says of the choice."""
        facts: dict[str, Any] = {"campaign": self.campaign.name}
        if suggestion.candidate.sample:
            facts["sample"] = suggestion.candidate.sample
        if suggestion.decision is not None:
            facts["decision"] = suggestion.decision.as_json()
        if spot is not None:
            facts["spot"] = spot.as_json()
        return facts
