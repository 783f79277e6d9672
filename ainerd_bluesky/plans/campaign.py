"""A campaign: what was suggested, exposed and learned, on disk before it counts."""

import logging
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ainerd_bluesky.errors import AinerdError, ConfigError, SelectionError
from ainerd_bluesky.plans.doses import Dose
from ainerd_bluesky.plans.limits import HasVocabulary, Spent
from ainerd_bluesky.plans.plain import PlainSelector
from ainerd_bluesky.plans.spots import Spot, Spots
from ainerd_bluesky.selection.protocols import (
    Candidate,
    Observation,
    ResumableSelector,
    Selector,
    Suggestion,
)
from ainerd_bluesky.selection.saving import write_json

__all__ = ["FORMAT_VERSION", "KIND", "Campaign", "sample_of"]

logger = logging.getLogger(__name__)

KIND = "xpcs-campaign"
"""What the file of a state says it is."""
FORMAT_VERSION = 1
"""Of that file."""

_NO_SPOT = "no fresh spot"
_NO_RESULT = "no usable result"


@dataclass(frozen=True)
class _UnderWay:
    """What was suggested and not measured yet; the run is empty until it exposes."""

    name: str
    run_uid: str = ""


class Campaign:
    """A selector, the dose of its samples and what is under way, saved at each event.

    Parameters
    ----------
    selector : Selector
        Chooses and learns; one that has a state if there is a path.
    name : str
        Of the campaign.
    spots : Spots, optional
        Places in the samples.
    path : Path, optional
        File of the state; None: it ends with the session.
    """

    def __init__(
        self,
        selector: Selector,
        name: str,
        spots: Spots | None = None,
        path: Path | None = None,
    ) -> None:
        self.name = name
        self.spots = spots
        self.spent = Spent()
        self._selector: ResumableSelector | PlainSelector = (
            selector
            if isinstance(selector, ResumableSelector)
            else PlainSelector(selector)
        )
        self.awaited = dict(self._selector.awaited_runs)
        """Runs without a usable result yet, and the candidate of each."""
        self._vocabulary = (
            selector.vocabulary if isinstance(selector, HasVocabulary) else None
        )
        self._unusable: set[str] = set()
        self.useless: list[str] = []
        """Runs in a row that gave no usable result."""
        self._path = path
        self._under_way: _UnderWay | None = None
        self._interrupted = ""

    @property
    def is_under_way(self) -> bool:
        """Whether something was suggested and is neither measured nor given up."""
        return self._under_way is not None

    @property
    def unanswered(self) -> list[str]:
        """Awaited runs to ask for: all but those whose result could not be used."""
        return [uid for uid in self.awaited if uid not in self._unusable]

    @property
    def expected(self) -> list[str]:
        """Awaited runs that are worth waiting for: nobody gave up their candidates."""
        return [uid for uid in self.awaited if uid in self._selector.awaited_runs]

    @property
    def heeds_releases(self) -> bool:
        """Whether the selector ends at some time to suggest what was given up."""
        return not isinstance(self._selector, PlainSelector)

    @property
    def observations(self) -> Sequence[Observation]:
        """What the selector knows, or at least what it learned here."""
        return self._selector.observations

    def suggest(self, seconds: float) -> Suggestion | None:
        """Return what to measure next, which is under way from now on.

        Candidates of samples without a fresh spot drop out, as long as there is none.

        Parameters
        ----------
        seconds : float
            Beam time of the exposure to come.

        Returns
        -------
        Suggestion or None
            What a person took, before all else; None if nothing is left.
        """
        self._heed_spots(seconds)
        suggestions = self._selector.taken or self._selector.suggest(1)
        if not suggestions:
            self.save()
            return None
        self._under_way = _UnderWay(suggestions[0].candidate.name)
        self.save()
        return suggestions[0]

    def begin(self, run_uid: str, seconds: float, spot: Spot | None) -> None:
        """Book the exposure that is about to happen.

        Parameters
        ----------
        run_uid : str
            Run of the exposure.
        seconds : float
            Its beam time.
        spot : Spot or None
            Its place, where there are spots; one that cannot take it is a `SpotError`.

        Raises
        ------
        SelectionError
            If nothing is under way.
        """
        if self._under_way is None:
            raise SelectionError(f"run {run_uid!r} measures nothing that was suggested")
        if self.spots is not None and spot is not None:
            dose = self.spots.dose_of(seconds)
            self.spots.book(Dose(spot.sample, spot.position, dose, run_uid))
        self.spent.book(seconds)
        self._selector.note_run(self._under_way.name, run_uid)
        self._under_way = replace(self._under_way, run_uid=run_uid)
        self.save()

    def end(self) -> None:
        """Note that the run under way ended well: its result is awaited."""
        if self._under_way is not None:
            self.awaited[self._under_way.run_uid] = self._under_way.name
            self._under_way = None
            self.save()

    def give_up(self, *, is_tried: bool) -> None:
        """Release what is under way, if anything is: nothing will come of it.

        Parameters
        ----------
        is_tried : bool
            Whether it failed by itself; else it was interrupted, and may come again:
            first of all, if a person took it and it was not exposed.
        """
        if self._under_way is not None:
            name, self._under_way = self._under_way.name, None
            if is_tried or name not in self._taken_names:
                self._release(name, is_tried=is_tried)
            self.save()

    def drop_out(self) -> None:
        """Release what is under way, which no spot can take; nothing was exposed."""
        if self._under_way is not None:
            name, self._under_way = self._under_way.name, None
            self._release(name, is_tried=False)
            self.save()

    def learn(self, run_uid: str, summary: Mapping[str, Any]) -> None:
        """Tell the selector of a result; one that it cannot use is logged.

        That run stays awaited: a later session asks for its result again, which may
        have been corrected.

        Parameters
        ----------
        run_uid : str
            An awaited run.
        summary : mapping
            Of its result.
        """
        name = self.awaited[run_uid]
        try:
            seen = Observation.from_summary(name, summary, self._vocabulary)
            self._selector.ingest([replace(seen, run_uid=run_uid)])
        except Exception as error:
            # The selector may be anybody's: whatever it raises, the series goes on.
            logger.warning(
                "nothing is learned of sample %r, run %s: %s",
                name,
                run_uid,
                error,
                exc_info=not isinstance(error, AinerdError),
            )
            self._unusable.add(run_uid)
            self._give_up_run(run_uid)
        else:
            del self.awaited[run_uid]
            self.useless.clear()
            if self._selector.excluded.get(name) == _NO_RESULT:
                self._selector.readmit(name)
            self._tell_renamed(seen, run_uid, summary)
        self.save()

    def drop_interrupted(self) -> None:
        """Release the candidate of the run that an earlier session died in.

        The run may have been complete all the same, so its result is asked for on.
        """
        if self._interrupted in self.expected:
            name = self.awaited[self._interrupted]
            logger.warning("the session died in run %s of %r", self._interrupted, name)
            self._release(name, is_tried=True)
            self.save()

    def drop_failed(self, run_uid: str) -> None:
        """Give up the candidate of an awaited run; a late result is learned still.

        Parameters
        ----------
        run_uid : str
            A run whose analysis failed.
        """
        name = self.awaited[run_uid]
        logger.warning("run %s of sample %r: its analysis failed", run_uid, name)
        self._give_up_run(run_uid)
        self.save()

    def save(self) -> None:
        """Write the state, if it has a file; if that fails, nothing may be exposed."""
        if self._path is None:
            return
        under_way = self._under_way
        doses = self.spots.doses if self.spots is not None else ()
        values = {
            "format_version": FORMAT_VERSION,
            "kind": KIND,
            "campaign": self.name,
            "n_scans": self.spent.n_scans,
            "beam_time": self.spent.beam_time,
            "doses": [dose.as_json() for dose in doses],
            "under_way": under_way and [under_way.name, under_way.run_uid],
            "awaited": self.awaited,
            "selector": self._selector.state(),
        }
        write_json(values, self._path)

    def restore(self, values: Mapping[str, Any]) -> None:
        """Go on where a saved campaign was; the selector has to be there already.

        Parameters
        ----------
        values : mapping
            What `save` wrote.

        Raises
        ------
        ConfigError
            If there are doses, and no spots to keep them.
        """
        doses = [Dose.from_json(item) for item in values["doses"]]
        if doses and self.spots is None:
            raise ConfigError(
                f"the campaign has booked {len(doses)} exposures of spots: call the "
                "plan with spots again"
            )
        if self.spots is not None:
            self.spots.recall(doses)
        self.spent = Spent(int(values["n_scans"]), float(values["beam_time"]))
        self.awaited = {**values["awaited"], **self._selector.awaited_runs}
        if values["under_way"]:
            self._under_way = _UnderWay(*values["under_way"])
            self._sort_out(self._under_way)

    def _sort_out(self, under_way: _UnderWay) -> None:
        """Decide what becomes of what an earlier session died in."""
        if under_way.run_uid:
            # It may have ended well, just before.
            self._interrupted = under_way.run_uid
            self.end()
        else:
            self.give_up(is_tried=False)

    def _heed_spots(self, seconds: float) -> None:
        """Exclude what has no fresh spot, and readmit what has one again."""
        spots, selector = self.spots, self._selector
        dose = 0.0 if spots is None else spots.dose_of(seconds)
        without = {name for name, why in selector.excluded.items() if why == _NO_SPOT}
        excluded = [c for c in selector.candidates if c.name in without]
        for sample, names in _names_by_sample(excluded).items():
            if spots is None or not spots.why_none(sample, dose):
                for name in names:
                    selector.readmit(name)
        for sample, names in _names_by_sample(selector.left).items():
            if spots is not None and (why := spots.why_none(sample, dose)):
                logger.warning("candidates %s drop out: %s", reprlib.repr(names), why)
                for name in names:
                    selector.exclude(name, _NO_SPOT)

    @property
    def _taken_names(self) -> set[str]:
        return {taken.candidate.name for taken in self._selector.taken}

    @staticmethod
    def _tell_renamed(
        seen: Observation, run_uid: str, summary: Mapping[str, Any]
    ) -> None:
        if seen.label != str(summary["label"]):
            logger.warning(
                "run %s of sample %r is %r, a word that the selector was made without: "
                "learned as %r, which the model says",
                run_uid,
                seen.name,
                summary["label"],
                seen.label,
            )

    def _release(self, name: str, *, is_tried: bool) -> None:
        if name in self._selector.pending:
            self._selector.release(name, is_tried=is_tried)

    def _give_up_run(self, run_uid: str) -> None:
        """Give up the candidate of a run for good, unless another run measures it."""
        self.useless.append(run_uid)
        if (name := self._selector.awaited_runs.get(run_uid)) is not None:
            self._release(name, is_tried=True)
            self._selector.exclude(name, _NO_RESULT)


def _names_by_sample(candidates: Sequence[Candidate]) -> dict[str, list[str]]:
    samples: dict[str, list[str]] = {}
    for candidate in candidates:
        samples.setdefault(sample_of(candidate), []).append(candidate.name)
    return samples


def sample_of(candidate: Candidate) -> str:
    """Return the name of the sample that a candidate is of, or is."""
    return candidate.sample or candidate.name
