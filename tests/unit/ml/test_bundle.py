import json

import numpy as np
import pytest

pytest.importorskip("torch")

from ainerd_bluesky.errors import ModelError
from ainerd_bluesky.ml import load_model
from ainerd_bluesky.ml.maps import to_sample


def noisy_map(n_frames=64, seed=0):
    noise = np.random.default_rng(seed).normal(0.0, 0.05, (n_frames, n_frames))
    delay = np.abs(np.subtract.outer(np.arange(n_frames), np.arange(n_frames)))
    two_time = 1.0 + 0.3 * np.exp(-delay / 10) + 0.5 * (noise + noise.T)
    return two_time.astype(np.float32)


def edit_card(folder, **changes):
    path = folder / "tiny.json"
    card = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in card.items() if v is not None}))


def test_loaded_model_embeds_as_the_trained_one(tiny_bundle, tiny_folder):
    two_time = noisy_map()
    expected = tiny_bundle.autoencoder.transform(to_sample(two_time)[None])

    np.testing.assert_array_equal(load_model(tiny_folder).embed(two_time), expected)


def test_loaded_latent_is_the_trained_one(tiny_bundle, tiny_folder):
    sample = to_sample(noisy_map())[None]
    Z = tiny_bundle.autoencoder.transform(sample)
    (answer,) = load_model(tiny_folder).classify(noisy_map())

    scores = tiny_bundle.autoencoder.scores(sample)
    expected = tiny_bundle.latent.probabilities(scores)[0]
    np.testing.assert_array_equal(list(answer.probabilities.values()), expected)
    assert answer.cluster == tiny_bundle.latent.clusters(Z)[0]


def test_card_says_how_the_model_was_made(tiny_bundle, tiny_folder):
    card = load_model(tiny_folder).card

    assert card["training"] == tiny_bundle.config.model_dump()
    assert card["figures"] == tiny_bundle.figures
    assert len(card["sha256"]) == 64


def test_writing_twice_gives_the_same_bytes(tiny_bundle, tiny_folder):
    from ainerd_bluesky.ml import save_bundle

    before = [path.read_bytes() for path in sorted(tiny_folder.iterdir())]
    save_bundle(tiny_bundle, tiny_folder)

    assert [path.read_bytes() for path in sorted(tiny_folder.iterdir())] == before


def test_one_changed_bit_is_found(tiny_folder):
    path = tiny_folder / "tiny.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    with pytest.raises(ModelError, match=r"tiny.safetensors has sha256 .*its card"):
        load_model(tiny_folder)


def test_file_of_another_kind_with_the_right_hash(tiny_folder):
    import hashlib

    (tiny_folder / "tiny.safetensors").write_bytes(b"\x80\x04pickle")
    edit_card(tiny_folder, sha256=hashlib.sha256(b"\x80\x04pickle").hexdigest())

    with pytest.raises(ModelError, match="is no model"):
        load_model(tiny_folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 99}, "format version 99, this release reads 5"),
        ({"format_version": 2}, "format version 2, .*or train one with"),
        ({"format_version": None}, "is no model card"),
        ({"sha256": None}, "lacks .'sha256'"),
        ({"classes": ["calm"]}, "names classes .'calm'"),
        ({"weights": "other.safetensors"}, "cannot read weights .*other.safetensors"),
        ({"weights": "../tiny/no.safetensors"}, "tiny/no.safetensors"),
    ],
    ids=[
        "future",
        "past",
        "no-version",
        "no-hash",
        "classes",
        "missing-file",
        "other-folder",
    ],
)
def test_card_that_does_not_fit(tiny_folder, changes, message):
    edit_card(tiny_folder, **changes)

    with pytest.raises(ModelError, match=message):
        load_model(tiny_folder)


def test_card_that_is_no_json(tiny_folder):
    (tiny_folder / "tiny.json").write_text("{")

    with pytest.raises(ModelError, match=r"tiny.json is no model card"):
        load_model(tiny_folder)


@pytest.mark.parametrize("name", ["empty", "not-there"])
def test_folder_without_a_model_names_the_cure(tmp_path, name):
    (tmp_path / "empty").mkdir()

    with pytest.raises(ModelError, match="found 0; train one with `ainerd model train"):
        load_model(tmp_path / name)


def test_folder_with_two_models(tiny_folder):
    (tiny_folder / "second.json").write_text("{}")

    with pytest.raises(ModelError, match="found 2"):
        load_model(tiny_folder)
