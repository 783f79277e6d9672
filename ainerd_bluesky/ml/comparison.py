"""Compare a candidate with the model in production, on maps neither learned from."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

from ainerd_bluesky.ml.classifier import Encoder, LatentClassifier
from ainerd_bluesky.ml.halves import OwnMaps
from ainerd_bluesky.ml.map_features import signal_to_noise
from ainerd_bluesky.ml.neighbours import NearestFingerprints
from ainerd_bluesky.ml.novelty import KnownMaps
from ainerd_bluesky.ml.simulated_maps import MapSet

__all__ = ["Comparison", "Described", "Figure", "Outcome", "compare", "half_error"]

Floats = NDArray[np.float32]
Outcome = Literal["better", "worse", "no different"]

_CONFIDENCE = 0.95
# What a person would not notice, of the figure in production.
_MOST_FORGOTTEN = 0.05
_MOST_FALLEN = 0.005
_MOST_ALARMS = 0.01
# Novelty above this is an alarm: of known maps one in a hundred has it.
_NOVEL = 0.99


class Described(Protocol):
    """A model to compare."""

    @property
    def encoder(self) -> Encoder:
        """What makes its fingerprints."""
        ...

    @property
    def latent(self) -> LatentClassifier:
        """What it knows about them."""
        ...

    @property
    def known(self) -> KnownMaps:
        """By what it tells what it does not know."""
        ...


@dataclass(frozen=True)
class Figure:
    """One line of a comparison.

    Parameters
    ----------
    name : str
        What was measured.
    production, candidate : float
        Means over runs or maps; `production` is nan where there is only one number.
    margin : float
        Half width of the 95 % confidence interval of the difference, paired.
    n : int
        Runs or maps.
    is_higher_better : bool
        Which way is good.
    tolerance : float
        A loss up to here is no loss.
    """

    name: str
    production: float
    candidate: float
    margin: float
    n: int
    is_higher_better: bool
    tolerance: float = 0.0

    @property
    def outcome(self) -> Outcome:
        """What the difference says; one within its margin says nothing."""
        gain = self.candidate - self.production
        gain = gain if self.is_higher_better else -gain
        if gain > self.margin:
            return "better"
        if -gain > max(self.margin, self.tolerance):
            return "worse"
        return "no different"

    def as_dict(self) -> dict[str, Any]:
        """Return the figure in JSON types."""
        numbers = {
            name: None if np.isnan(value) else round(value, 5)
            for name, value in (
                ("production", self.production),
                ("candidate", self.candidate),
                ("margin", self.margin),
            )
        }
        return {"name": self.name, **numbers, "n": self.n, "outcome": self.outcome}


@dataclass(frozen=True)
class Comparison:
    """Whether a candidate deserves to go into production.

    Parameters
    ----------
    own : tuple of Figure
        On the facility's held-out runs.
    simulated : tuple of Figure
        On simulated maps: what must not be forgotten.
    agreement : float
        Share of the held-out maps that get the same label from both.
    n_runs, n_maps : int
        Held out.
    """

    own: tuple[Figure, ...]
    simulated: tuple[Figure, ...]
    agreement: float
    n_runs: int
    n_maps: int

    @property
    def outcome(self) -> Outcome:
        """Better: something on own runs is, and nothing anywhere is worse."""
        every = [figure.outcome for figure in (*self.own, *self.simulated)]
        if "worse" in every:
            return "worse"
        is_better = any(figure.outcome == "better" for figure in self.own)
        return "better" if is_better else "no different"

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        figures = (*self.own, *self.simulated)
        changed = [
            f"{figure.name} {figure.production:.3g} -> {figure.candidate:.3g}"
            for figure in figures
            if figure.outcome == self.outcome != "no different"
        ]
        because = f" ({'; '.join(changed)})" if changed else ""
        link = "than" if changed else "from"
        return (
            f"On {self.n_runs} held-out runs ({self.n_maps} maps) the candidate is "
            f"{self.outcome} {link} the model in production{because}; "
            f"{self.agreement:.0%} of their labels are the same."
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison in JSON types, for a model's card."""
        return {
            "outcome": self.outcome,
            "sentence": self.sentence,
            "n_runs": self.n_runs,
            "n_maps": self.n_maps,
            "label_agreement": round(self.agreement, 4),
            "own": [figure.as_dict() for figure in self.own],
            "simulated": [figure.as_dict() for figure in self.simulated],
        }


def compare(
    production: Described, candidate: Described, own: OwnMaps, simulated: MapSet
) -> Comparison:
    """Compare two models.

    Own maps have no truth; what can be measured is how well a map of even frames tells
    the map of odd frames, whose photons are others, and how often the nearest map is
    of the same run. Runs count once each, however many maps they have.

    Parameters
    ----------
    production, candidate : Described
        The models.
    own : OwnMaps
        Of runs that neither has learned from; two or more.
    simulated : MapSet
        Maps that neither has learned from.

    Returns
    -------
    Comparison
        Every figure with the margin of its difference.
    """
    models = production, candidate
    said = [_labels(each, own.whole) for each in models]
    return Comparison(
        own=_own_figures(models, own),
        simulated=_simulated_figures(models, simulated),
        agreement=float((said[0] == said[1]).mean()),
        n_runs=own.n_runs,
        n_maps=len(own),
    )


def _own_figures(
    models: tuple[Described, Described], own: OwnMaps
) -> tuple[Figure, ...]:
    errors = [_run_means(_half_errors(each.encoder, own), own) for each in models]
    found = [_run_means(_is_found(each.encoder, own), own) for each in models]
    alarms = [_run_means(_is_novel(each, own.whole), own) for each in models]
    return (
        _figure("reconstruction error", errors),
        _figure("nearest map of the same run", found, is_higher_better=True),
        _figure("false alarms of novelty", alarms, tolerance=_MOST_ALARMS),
    )


def _simulated_figures(
    models: tuple[Described, Described], maps: MapSet
) -> tuple[Figure, ...]:
    samples = maps.samples
    is_right = [
        (_labels(each, samples) == maps.labels).astype(float) for each in models
    ]
    rebuilt = [_clean_errors(each.encoder, maps) for each in models]
    alarms = [_is_novel(each, samples) for each in models]
    forgotten = _MOST_FORGOTTEN * float(rebuilt[0].mean())
    return (
        _figure(
            "accuracy, simulated maps",
            is_right,
            is_higher_better=True,
            tolerance=_MOST_FALLEN,
        ),
        _figure("reconstruction error, simulated maps", rebuilt, tolerance=forgotten),
        _figure(
            "false alarms of novelty, simulated maps", alarms, tolerance=_MOST_ALARMS
        ),
    )


def half_error(encoder: Encoder, own: OwnMaps) -> float:
    """Compute how badly maps of half the frames tell those of the other half.

    Parameters
    ----------
    encoder : Encoder
        To be measured.
    own : OwnMaps
        Maps with halves.

    Returns
    -------
    float
        Mean squared difference of maps of mean 0 and spread 1, over both directions;
        the noise of the other half is in it.
    """
    return float(_half_errors(encoder, own).mean())


def _half_errors(encoder: Encoder, own: OwnMaps) -> NDArray[np.float64]:
    there = _errors(encoder.reconstruct(own.halves[0]), own.halves[1])
    back = _errors(encoder.reconstruct(own.halves[1]), own.halves[0])
    return 0.5 * (there + back)


def _clean_errors(encoder: Encoder, maps: MapSet) -> NDArray[np.float64]:
    """Compare with what is behind each simulated map; one without signal has none."""
    has_truth = maps.clean.std(axis=(1, 2)) > 0
    rebuilt = encoder.reconstruct(maps.samples[has_truth])
    return _errors(rebuilt, maps.clean[has_truth])


def _errors(rebuilt: Floats, wanted: Floats) -> NDArray[np.float64]:
    rest = wanted - wanted.mean(axis=(1, 2), keepdims=True)
    standard = rest / np.maximum(rest.std(axis=(1, 2), keepdims=True), 1e-6)
    squares = np.square(rebuilt - standard, dtype=np.float64)
    return np.asarray(squares.mean(axis=(1, 2)))


def _is_found(encoder: Encoder, own: OwnMaps) -> NDArray[np.float64]:
    """Tell whether the odd half that is nearest to an even half is of its run."""
    first, second = (encoder.transform(half) for half in own.halves)
    runs, there = own.runs, NearestFingerprints(second)
    nearest = [int(there.query(z, 1).index[0]) for z in first]
    return np.asarray(runs[nearest] == runs, float)


def _is_novel(model: Described, samples: Floats) -> NDArray[np.float64]:
    traits = model.encoder.traits(samples)
    return np.asarray(
        model.known.novelty(traits, signal_to_noise(samples)) > _NOVEL, float
    )


def _run_means(values: NDArray[np.float64], own: OwnMaps) -> NDArray[np.float64]:
    runs = own.runs
    return np.asarray(np.bincount(runs, values) / np.bincount(runs))


def _labels(model: Described, samples: Floats) -> NDArray[np.str_]:
    best = model.encoder.scores(samples).argmax(axis=1)
    return np.asarray(np.array(model.latent.classes)[best])


def _figure(
    name: str,
    values: list[NDArray[np.float64]],
    *,
    is_higher_better: bool = False,
    tolerance: float = 0.0,
) -> Figure:
    before, after = values
    n = len(before)
    spread = float(np.std(after - before, ddof=1)) if n > 1 else np.inf
    quantile = float(student_t.ppf(0.5 + _CONFIDENCE / 2, max(n - 1, 1)))
    return Figure(
        name=name,
        production=float(before.mean()),
        candidate=float(after.mean()),
        margin=quantile * spread / float(np.sqrt(n)),
        n=n,
        is_higher_better=is_higher_better,
        tolerance=tolerance,
    )
