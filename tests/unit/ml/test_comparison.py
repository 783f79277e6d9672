"""Models with known faults must be told apart, and equal ones must not."""

from dataclasses import dataclass

import numpy as np
import pytest

from ainerd_bluesky.ml.comparison import Comparison, Figure, compare, half_error
from ainerd_bluesky.ml.halves import OwnMaps
from ainerd_bluesky.ml.novelty import KnownMaps
from ainerd_bluesky.ml.simulated_maps import MapSet

CLASSES = ("aging", "static")
N_RUNS = 12


class Encoder:
    """Knows each map by the number in its corner; it blurs and errs as told."""

    def __init__(self, *, blur=0.0, n_wrong=0, n_odd=0, is_lost=False):
        self.blur, self.n_wrong, self.is_lost = blur, n_wrong, is_lost
        self.n_odd = n_odd

    def transform(self, X):
        numbers = X[:, :1, 0].astype(np.float32)
        return 0 * numbers if self.is_lost else numbers

    def scores(self, X):
        is_first = np.arange(len(X)) % 2 == 0
        is_first[: self.n_wrong] ^= True
        return np.stack([is_first, ~is_first], axis=1).astype(np.float32)

    def traits(self, X):
        return (np.arange(len(X)) < self.n_odd)[:, None].astype(np.float32)

    def reconstruct(self, X):
        rest = X - X.mean(axis=(1, 2), keepdims=True)
        return (1 - self.blur) * rest / rest.std(axis=(1, 2), keepdims=True)


@dataclass(frozen=True)
class Latent:
    classes: tuple[str, ...] = CLASSES


# Held-out maps lie within 0.1 of the one known place; an odd map is 1 away.
KNOWN = KnownMaps(
    mean=np.zeros(1, np.float32),
    axes=np.ones((1, 1), np.float32),
    places=np.zeros((1, 1), np.int8),
    steps=np.ones(1, np.float32),
    signal_to_noise=np.arange(150, dtype=np.float32),
    distances=np.geomspace(0.01, 0.1, 150).astype(np.float32),
)


@dataclass(frozen=True)
class Model:
    encoder: Encoder
    latent: Latent = Latent()
    known: KnownMaps = KNOWN


@pytest.fixture
def own(rng):
    maps = rng.random((2 * N_RUNS, 16, 16), dtype=np.float32)
    maps[:, 0, 0] = np.repeat(10 * np.arange(N_RUNS), 2)
    uids = np.repeat([f"run-{number:02d}" for number in range(N_RUNS)], 2)
    return OwnMaps(maps, np.stack([maps, maps]), uids)


@pytest.fixture
def simulated(rng):
    maps = rng.random((100, 16, 16), dtype=np.float32)
    labels = np.array(CLASSES * 50)
    return MapSet(maps, maps, labels, np.full(100, 20.0))


def outcomes(comparison):
    figures = (*comparison.own[:2], *comparison.simulated[:2])
    return [comparison.outcome, *(figure.outcome for figure in figures)]


SAME = "no different"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {}, [SAME] * 5),
        ({"blur": 0.3}, {}, ["better", "better", SAME, SAME, "better"]),
        ({}, {"blur": 0.3}, ["worse", "worse", SAME, SAME, "worse"]),
        ({"is_lost": True}, {}, ["better", SAME, "better", SAME, SAME]),
        ({}, {"n_wrong": 20}, ["worse", SAME, SAME, "worse", SAME]),
        ({"is_lost": True}, {"n_wrong": 20}, ["worse", SAME, "better", "worse", SAME]),
        ({"n_wrong": 20}, {}, [SAME, SAME, SAME, "better", SAME]),
    ],
    ids=["same", "sharp", "blurred", "found", "forgotten", "traded", "not own"],
)
def test_verdict(own, simulated, before, after, expected):
    models = (Model(Encoder(**settings)) for settings in (before, after))
    assert outcomes(compare(*models, own, simulated)) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (0, 0, (SAME, SAME, SAME)),
        (0, 6, ("worse", SAME, "worse")),
        (6, 0, (SAME, SAME, "better")),
        (0, 24, ("worse", "worse", "worse")),
        (24, 0, ("better", "better", "better")),
    ],
)
def test_false_alarms_of_novelty_count(own, simulated, before, after, expected):
    models = (Model(Encoder(n_odd=n_odd)) for n_odd in (before, after))
    said = compare(*models, own, simulated)
    figures = said.own[2], said.simulated[2]
    names = {figure.name for figure in figures}
    assert names == {
        "false alarms of novelty", "false alarms of novelty, simulated maps",
    }  # fmt: skip
    assert figures[1].candidate == after / 100
    assert (said.outcome, *(figure.outcome for figure in figures)) == expected


def test_a_verdict_is_told_in_words_and_numbers(own, simulated):
    sharp, blurred = Model(Encoder()), Model(Encoder(blur=0.3))
    said = compare(blurred, sharp, own, simulated)
    assert said.sentence == (
        "On 12 held-out runs (24 maps) the candidate is better than the model in "
        "production (reconstruction error 0.09 -> 0; reconstruction error, simulated "
        "maps 0.09 -> 0); 100% of their labels are the same."
    ).replace("-> 0;", f"-> {said.own[0].candidate:.3g};").replace(
        "-> 0)", f"-> {said.simulated[1].candidate:.3g})"
    )
    kept = said.as_dict()
    assert kept["own"][0]["production"] == pytest.approx(0.09, abs=1e-4)
    assert (kept["outcome"], kept["label_agreement"]) == ("better", 1.0)


def test_labels_that_changed_are_counted(own, simulated):
    changed = Model(Encoder(n_wrong=6))
    assert compare(Model(Encoder()), changed, own, simulated).agreement == 0.75


def test_a_blurred_half_misses_by_what_it_lacks(own):
    assert half_error(Encoder(blur=0.5), own) == pytest.approx(0.25, abs=1e-5)


def test_one_run_proves_nothing(own, simulated):
    one = own.run_uids == "run-00"
    single = OwnMaps(own.whole[one], own.halves[:, one], own.run_uids[one])
    models = Model(Encoder(blur=0.5)), Model(Encoder())
    assert compare(*models, single, simulated).own[0].outcome == SAME


def test_a_loss_within_its_tolerance_is_no_loss():
    figure = Figure("accuracy", 0.95, 0.946, 0.001, 900, True, tolerance=0.005)
    assert figure.outcome == SAME
    assert Comparison((), (figure,), 1.0, 3, 3).outcome == SAME
