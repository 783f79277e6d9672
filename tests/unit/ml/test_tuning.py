import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from ainerd_bluesky.ml.map_features import map_features
from ainerd_bluesky.ml.network import DynamicsNetwork
from ainerd_bluesky.ml.tuning import (
    FineTuningConfig,
    HalfViews,
    Lessons,
    SimulatedViews,
    Tuning,
    _contrast,
)

SIZE, N_MAPS = 32, 24
CONFIG = FineTuningConfig(
    n_epochs=6, n_steps=2, batch_size=8, patience=6, learning_rate=1e-3
)


def lessons(seed):
    rng = np.random.default_rng(seed)
    maps = 1 + rng.random((2, N_MAPS, SIZE, SIZE), dtype=np.float32)
    features = np.stack([map_features(half) for half in maps])
    own = HalfViews(
        torch.from_numpy(maps), torch.from_numpy(features), torch.arange(N_MAPS) // 2
    )
    simulated = SimulatedViews(
        own.samples[0],
        own.features[0],
        torch.arange(N_MAPS) % 3,
        torch.zeros(N_MAPS, dtype=torch.bool),
    )
    return Lessons(own, simulated)


@pytest.fixture
def tuning():
    def make(**changes):
        torch.manual_seed(0)
        learn, watch = lessons(1), lessons(2)
        n_features = learn.simulated.features.shape[1]
        network = DynamicsNetwork(n_features, SIZE, 4, 4, 3, width=8)
        return Tuning(network, learn, watch, CONFIG.model_copy(update=changes))

    return make


def run(tuning, n_epochs=99):
    while not tuning.is_over and tuning.epoch < n_epochs:
        tuning.advance()
    return tuning


def test_it_goes_on_where_it_stood(tuning):
    whole, first = run(tuning()), run(tuning(), n_epochs=3)
    resumed = tuning()
    resumed.restore(first.checkpoint())
    assert run(resumed).curves == whole.curves
    one, other = (each.checkpoint().tensors for each in (whole, resumed))
    assert set(one) == set(other)
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_it_stops_when_the_watched_runs_get_no_better(tuning):
    stopped = run(tuning(learning_rate=3.0, patience=2))
    assert (stopped.epoch, stopped.curves.best_epoch) == (2, 0)


def test_nothing_that_helped_leaves_the_weights_as_they_were(tuning):
    worse = tuning(learning_rate=3.0, patience=2)
    before = {key: value.clone() for key, value in _network(worse).items()}
    run(worse)
    assert not all(torch.equal(before[key], _network(worse)[key]) for key in before)
    worse.finish()
    assert all(torch.equal(before[key], _network(worse)[key]) for key in before)


def test_normalisations_stay(tuning):
    before = {key: value.clone() for key, value in _network(tuning()).items()}
    after = _network(run(tuning()))
    kept = [key for key in before if "running" in key or "batches" in key]
    assert len(kept) > 6
    assert all(torch.equal(before[key], after[key]) for key in kept)


def test_simulated_maps_move_less_the_more_they_weigh(tuning):
    moved = []
    for weight in (0.0, 100.0):
        free = run(tuning(keep_weight=weight, patience=99))
        views, network = lessons(1).simulated, free._network
        inputs = network.prepare(views.features)
        before = free._teacher.fingerprint(views.samples, inputs)
        after = network.fingerprint(views.samples, inputs)
        moved.append((after - before).square().sum().item())
    assert moved[1] < 0.5 * moved[0]


def test_halves_that_agree_and_runs_that_differ_cost_nothing():
    Z = torch.eye(3).repeat(2, 1)
    assert _contrast(Z, torch.arange(3)).item() < 0.01
    swapped = torch.cat([torch.eye(3), torch.eye(3).roll(1, 0)])
    assert _contrast(swapped, torch.arange(3)).item() > 5


def test_maps_of_one_run_are_not_pushed_apart():
    Z = torch.tensor([[1.0, 0.0], [1.0, 0.0]]).repeat(2, 1)
    assert _contrast(Z, torch.zeros(2, dtype=torch.int64)).item() == 0.0
    assert _contrast(Z, torch.arange(2)).item() > 0.5


def _network(tuning):
    return tuning._network.state_dict()
