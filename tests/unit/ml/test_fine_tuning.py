"""Fine-tuning on maps with a texture that the model has never seen."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from ainerd_bluesky.errors import ConfigError, ModelError
from ainerd_bluesky.ml import load_model, save_bundle
from ainerd_bluesky.ml.candidate import save_candidate
from ainerd_bluesky.ml.checkpoints import Checkpoints
from ainerd_bluesky.ml.fine_tuning import FineTuningConfig, fine_tune
from ainerd_bluesky.ml.halves import OwnMaps, half_samples
from ainerd_bluesky.ml.map_features import signal_to_noise
from ainerd_bluesky.ml.simulated_maps import simulate_map_set
from ainerd_bluesky.ml.training_picture import draw_curves

CONFIG = FineTuningConfig(
    n_maps=90,
    n_held_out=90,
    n_epochs=4,
    n_steps=3,
    patience=4,
    batch_size=16,
    learning_rate=1e-3,
    n_threads=1,
)
KILLED = """
import os, signal, sys
import numpy as np
from ainerd_bluesky.ml import load_model
from ainerd_bluesky.ml.checkpoints import Checkpoints
from ainerd_bluesky.ml.fine_tuning import FineTuningConfig, fine_tune
from ainerd_bluesky.ml.halves import OwnMaps

model, maps, folder, config = sys.argv[1:]

def progress(stage, done, total):
    if (stage, done) == ("train", 2):
        os.kill(os.getpid(), signal.SIGKILL)

own = OwnMaps(**np.load(maps))
config = FineTuningConfig.model_validate_json(config)
fine_tune(load_model(model), own, config, checkpoints=Checkpoints(folder),
          progress=progress)
"""


@pytest.fixture(scope="module")
def own(striped_map):
    rng = np.random.default_rng(3)
    maps = [striped_map(rng, tau) for tau in np.geomspace(5, 500, 40) for _ in "12"]
    samples = np.stack([half_samples(each) for each in maps], axis=1)
    uids = np.repeat([f"run-{number}" for number in range(40)], 2)
    return OwnMaps(samples[0], samples[1:], uids)


@pytest.fixture(scope="module")
def model_folder(tiny_bundle, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save_bundle(tiny_bundle, folder)
    return folder


@pytest.fixture(scope="module")
def model(model_folder):
    return load_model(model_folder)


@pytest.fixture(scope="module")
def tuned(model, own):
    return fine_tune(model, own, CONFIG)


def weights(tuned):
    return tuned.encoder.network_.state_dict()


def test_held_out_runs_of_the_texture_are_made_again_better(tuned):
    error = tuned.comparison.own[0]
    assert error.outcome == "better"
    assert error.candidate < 0.9 * error.production
    assert error.n == tuned.n_runs["judge"] == 10


def test_the_model_in_production_and_the_normalisation_stay(tuned, model, model_folder):
    before = load_model(model_folder).encoder.network_.state_dict()
    now, after = model.encoder.network_.state_dict(), weights(tuned)
    assert all(torch.equal(before[key], now[key]) for key in before)
    frozen = [key for key in before if "running" in key]
    assert all(torch.equal(before[key], after[key]) for key in frozen)


def test_steps_that_are_too_long_teach_nothing(model, own, tuned):
    rng = np.random.default_rng(4)
    noise = rng.normal(1.0, 0.1, (3, len(own), 64, 64)).astype(np.float32)
    noise += noise.swapaxes(2, 3)
    nothing = OwnMaps(noise[0], noise[1:], own.run_uids)
    blind = CONFIG.model_copy(update={"learning_rate": 10.0, "n_epochs": 1})

    idle = fine_tune(model, nothing, blind)

    assert (idle.curves.best_epoch, idle.has_learned) == (0, False)
    before = model.encoder.network_.state_dict()
    assert all(torch.equal(each, before[key]) for key, each in weights(idle).items())
    assert tuned.has_learned


def test_the_best_epoch_is_kept(tuned):
    watch = tuned.curves.watch
    assert len(watch) == len(tuned.curves.learn) + 1
    assert watch[tuned.curves.best_epoch] == min(watch)


def novelty(model, maps):
    return model.known.novelty(model.encoder.traits(maps), signal_to_noise(maps))


def test_own_maps_become_known(tuned, model, own):
    maps = own.part("judge").whole
    assert np.median(novelty(model, maps)) > 0.5
    assert np.median(novelty(tuned, maps)) < 0.3


def test_what_the_model_knew_it_goes_on_to_know(tuned, model):
    fresh = simulate_map_set(300, np.random.SeedSequence(7)).samples
    np.testing.assert_array_equal(
        model.encoder.traits(fresh), tuned.encoder.traits(fresh)
    )
    places = {place.tobytes() for place in tuned.known.places}
    assert {place.tobytes() for place in model.known.places} < places


def test_clusters_keep_their_ids(tuned, model, own):
    maps = own.part("judge").whole
    before, after = model.encoder.transform(maps), tuned.encoder.transform(maps)
    same = tuned.latent.clusters(after) == model.latent.clusters(before)
    assert np.mean(same) > 0.7


@pytest.fixture(scope="module")
def killed(model_folder, own, tmp_path_factory):
    """Folder of a training whose process was killed after its second epoch."""
    folder = tmp_path_factory.mktemp("killed")
    maps = folder / "maps.npz"
    np.savez(maps, whole=own.whole, halves=own.halves, run_uids=own.run_uids)
    arguments = [model_folder, maps, folder / "kept", CONFIG.model_dump_json()]
    command = [sys.executable, "-c", KILLED, *map(str, arguments)]
    done = subprocess.run(command, check=False, timeout=200, env={**os.environ})
    assert done.returncode == -signal.SIGKILL
    return folder / "kept"


def test_another_recipe_does_not_go_on(model, own, killed):
    other = CONFIG.model_copy(update={"batch_size": 8})
    with pytest.raises(ModelError, match="checkpoint of another training"):
        fine_tune(model, own, other, checkpoints=Checkpoints(killed))


def test_a_killed_training_goes_on_and_ends_with_the_same_bits(
    model, own, tuned, killed
):
    epochs = []

    def progress(stage, done, total):
        if stage == "train":
            epochs.append(done)

    resumed = fine_tune(
        model, own, CONFIG, checkpoints=Checkpoints(killed), progress=progress
    )
    assert epochs[0] == 3
    assert resumed.curves == tuned.curves
    after = weights(resumed)
    assert all(torch.equal(each, after[key]) for key, each in weights(tuned).items())


def test_a_candidate_says_whence_it_came(tuned, model, tmp_path):
    save_candidate(tuned, "2.0-own.1", tmp_path, {"query": "sample=S1"})
    loaded = load_model(tmp_path)
    card = loaded.card
    assert (card["name"], card["version"]) == (model.name, "2.0-own.1")
    assert card["parent"]["sha256"] == model.sha256
    assert card["measured"]["n_maps"] == tuned.n_maps["learn"]
    notes = card["fine_tuning"]
    assert (notes["query"], notes["n_runs"]) == ("sample=S1", tuned.n_runs)
    assert notes["comparison"]["sentence"] == tuned.comparison.sentence
    maps = np.ones((1, 64, 64), np.float32)
    np.testing.assert_array_equal(
        loaded.encoder.transform(maps), tuned.encoder.transform(maps)
    )


def test_the_curves_are_a_picture(tuned, tmp_path):
    pytest.importorskip("matplotlib")
    draw_curves(tuned.curves, tuned.comparison, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"


def test_too_few_runs_teach_nothing(model, own):
    with pytest.raises(ConfigError, match=r"too few: .* about 30 runs have"):
        fine_tune(model, own.part("learn"), CONFIG)


def test_a_baseline_cannot_be_fine_tuned(published_folder, own):
    with pytest.raises(ModelError, match="preset 'published', which cannot be"):
        fine_tune(load_model(published_folder), own, CONFIG)
