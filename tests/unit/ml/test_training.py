import pytest

pytest.importorskip("torch")

from pydantic import ValidationError

from ainerd_bluesky.ml import TrainingConfig, save_bundle, train
from ainerd_bluesky.vocabulary import DYNAMICS


def test_figures_cover_every_word(tiny_bundle):
    figures = tiny_bundle.figures

    assert set(figures["recall"]) == {label.value for label in DYNAMICS}
    assert 0.0 <= figures["accuracy"] <= 1.0
    assert figures["n_maps"] == 90


@pytest.fixture(scope="module")
def trained_again(tiny_bundle):
    seen = {}

    def progress(stage, done, total):
        seen[stage] = (done, total)

    return train(tiny_bundle.config, progress=progress), seen


def test_same_seed_gives_the_same_weights(trained_again, tiny_folder, tmp_path):
    save_bundle(trained_again[0], tmp_path / "again")

    first = (tiny_folder / "tiny.safetensors").read_bytes()
    assert (tmp_path / "again" / "tiny.safetensors").read_bytes() == first


def test_progress_names_every_stage(trained_again):
    stages = {"simulate": (225, 225), "train": (2, 2), "know": (1, 1)}
    assert trained_again[1] == stages


@pytest.mark.parametrize(
    "bad",
    [{"n_maps": 3}, {"seed": -1}, {"name": "../up"}, {"n_epoch": 4}, {"width": 1}],
    ids=["maps", "seed", "name", "unknown", "width"],
)
def test_settings_that_cannot_be(bad):
    with pytest.raises(ValidationError, match=next(iter(bad))):
        TrainingConfig(**bad)
