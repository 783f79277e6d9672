"""A series of scans that chooses for itself what to measure next."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, Unpack

from bluesky import plan_stubs as bps
from bluesky.protocols import Movable, Readable
from bluesky.utils import FailedPause, MsgGenerator, RunEngineControlException

from ainerd_bluesky.errors import ConfigError, SpotError
from ainerd_bluesky.plans.campaign import Campaign
from ainerd_bluesky.plans.limits import Budget, Goal
from ainerd_bluesky.plans.resuming import open_campaign
from ainerd_bluesky.plans.scan import (
    Detector,
    Exposure,
    ScanSettings,
    record_frames,
    start_document,
)
from ainerd_bluesky.plans.spots import Spot, Spots
from ainerd_bluesky.plans.waiting import wait_for_labels
from ainerd_bluesky.selection.protocols import (
    Results,
    Selector,
    Suggestion,
)

__all__ = ["autonomous_xpcs"]

logger = logging.getLogger(__name__)

_BY_OPERATOR = (RunEngineControlException, FailedPause)


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

    With a state file, the same call after a crash goes on where the series was: nothing
    is scanned twice, and results that came meanwhile are learned first.

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
        Places inside the samples with their limits of dose; a sample without a fresh
        one drops out.
    campaign : str, optional
        Name under which the decisions are kept; unset: a new one with today's date.
    timeout : float, optional
        Longest wait for one label, in seconds.
    max_failures : int, optional
        So many scans that fail one after another end the series with the last error.
    state_path : Path or str, optional
        File of the state, written at each event.
    **scan_settings : optional
        For each `xpcs_scan`: ``n_frames``, ``frame_time``, ``md``.

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
    md = scan_settings.pop("md", {}) or {}
    exposure = Exposure(**scan_settings)  # type: ignore[misc] # md is out
    if spots is not None:
        spots.dose_of(exposure.seconds)
        if state_path is None:
            logger.warning("doses are known until this session ends: set state_path")

    path = None if state_path is None else Path(state_path)
    book = open_campaign(selector, name=campaign, spots=spots, path=path)
    series = _Series(_Beamline(detector, stage, results, timeout), book, exposure, md)
    try:
        run_uids = yield from series.run(limits, goal, max_failures)
    finally:
        # No messages from here on: after a halt nobody would carry them out.
        book.give_up(is_tried=False)
    return run_uids


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


@dataclass(frozen=True)
class _Series:
    beamline: _Beamline
    campaign: Campaign
    exposure: Exposure
    md: Mapping[str, Any]

    def run(
        self, budget: Budget, goal: Goal | None, max_failures: int
    ) -> MsgGenerator[list[str]]:
        """Scan until something ends the series; return the runs."""
        run_uids: list[str] = []
        n_failed = 0
        yield from self._learn(list(self.campaign.awaited), self.beamline.timeout)
        self.campaign.drop_interrupted()
        while not (why := self._why_stop(budget, goal)):
            suggestion = yield from self._choose()
            if suggestion is None:
                why = "no candidate is left"
                break
            try:
                run_uid = yield from self._measure(suggestion)
            except _BY_OPERATOR:
                raise
            except Exception:
                n_failed += 1
                name = suggestion.candidate.name
                logger.exception("scan of %r failed, %d in a row", name, n_failed)
                self.campaign.give_up(is_tried=True)
                if n_failed >= max_failures:
                    raise
                continue
            if run_uid:
                n_failed = 0
                run_uids.append(run_uid)
                yield from self._learn_all(run_uid)
        self._tell_end(len(run_uids), why)
        return run_uids

    def _learn_all(self, latest: str) -> MsgGenerator[None]:
        """Wait for the latest result, and take what came late of the others."""
        yield from self._learn([latest], self.beamline.timeout)
        older = [uid for uid in self.campaign.awaited if uid != latest]
        yield from self._learn(older, 0.0)

    def _tell_end(self, n_runs: int, why: str) -> None:
        name, awaited = self.campaign.name, list(self.campaign.awaited)
        logger.info("campaign %s ends after %d runs: %s", name, n_runs, why)
        if awaited:
            logger.warning("%d runs have no result yet: %s", len(awaited), awaited)

    def _why_stop(self, budget: Budget, goal: Goal | None) -> str:
        if goal is not None and goal(self.campaign.observations):
            return f"{goal} is reached"
        return self.campaign.spent.why_stop(budget, self.exposure.seconds)

    def _choose(self) -> MsgGenerator[Suggestion | None]:
        """Return what to measure next; late results may free a candidate."""
        yield from bps.checkpoint()
        while (suggestion := self.campaign.suggest()) is None:
            awaited = list(self.campaign.awaited)
            n_learned = yield from self._learn(awaited, self.beamline.timeout)
            if n_learned == 0:
                return None
        logger.info("next %s", suggestion.reason)
        return suggestion

    def _learn(self, run_uids: Sequence[str], timeout: float) -> MsgGenerator[int]:
        """Learn the results that come in time; return how many."""
        found = yield from wait_for_labels(self.beamline.results, run_uids, timeout)
        for run_uid, summary in found.items():
            self.campaign.learn(run_uid, summary)
        return len(found)

    def _measure(self, suggestion: Suggestion) -> MsgGenerator[str]:
        """Scan a fresh spot; return the run, or nothing if there is no such spot."""
        candidate, spots = suggestion.candidate, self.campaign.spots
        if spots is None:
            return (yield from self._scan(suggestion, None))
        try:
            dose = spots.dose_of(self.exposure.seconds)
            spot = spots.fresh(candidate.sample or candidate.name, dose)
        except SpotError as error:
            logger.warning("candidate %r drops out: %s", candidate.name, error)
            self.campaign.give_up(is_tried=True)
            return ""
        return (yield from self._scan(suggestion, spot))

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
