"""Odd frames of real runs end as `invalid`, with the reason; nothing is half there."""

import bluesky.plans as bp
import numpy as np
import pytest
from bluesky_tiled_plugins import TiledWriter
from tiled.queries import Key

from ainerd_bluesky.config import BeamlineConfig
from ainerd_bluesky.xpcs import QPartition
from flows.chain import process_run
from tiled_adapters.formats.qmap import write_partition

pytest.importorskip("torch")
from ainerd_bluesky.ml import load_model

pytestmark = pytest.mark.integration

SHAPE = (40, 20, 20)


def with_value(value, dtype, where=(7, 3, 4)):
    frames = np.random.default_rng(0).poisson(2.0, SHAPE).astype(dtype)
    frames[where] = value
    return frames


# The detector of these tests adds the number of the event, 1, to what it is given.
ODD = {
    "infinity": (with_value(np.inf, np.float32), "bad-frames", "frame 7"),
    "negative": (with_value(-5, np.int32), "bad-frames", "negative count"),
    "constant": (np.full(SHAPE, 4, np.uint16), "constant", "same"),
    "dark": (np.full(SHAPE, -1, np.int16), "dark", "no photons"),
    "one-frame": (with_value(3, np.uint16)[:1], "too-short", "1 frames"),
}


@pytest.fixture(scope="module")
def model():
    return load_model()


@pytest.fixture
def config(tiled_server, tmp_path):
    partition = QPartition(np.ones(SHAPE[1:], np.int32), [0.01], [np.nan])
    write_partition(tmp_path / "q.h5", partition)
    return BeamlineConfig.model_validate(
        {
            "name": "test",
            "detector": {"field": "eiger", "frame_time": 0.01},
            "partition": {"path": tmp_path / "q.h5"},
            "catalog": {"allowed_roots": [tiled_server.detector_folder]},
        }
    )


@pytest.fixture
def acquire(catalog, hdf5_detector, run_engine):
    def run(*stacks):
        detectors = [hdf5_detector(frames) for frames in stacks]
        for detector, name in zip(detectors, ("eiger", "lambda"), strict=False):
            detector.name = name
        writer = TiledWriter(catalog["raw"], batch_size=1)
        (uid,) = run_engine(bp.count(detectors), writer, technique="XPCS")
        return uid

    return run


@pytest.mark.parametrize(("frames", "flag", "words"), ODD.values(), ids=ODD)
def test_odd_frames_are_recorded_as_invalid_with_the_reason(
    acquire, config, model, catalog, results, frames, flag, words
):
    uid = acquire(frames)
    process_run(uid, config, model=model, catalog=catalog)
    stored = results[uid].metadata
    assert (stored["label"], stored["status"]) == ("invalid", "complete")
    assert flag in stored["quality"]["flags"]
    assert words in " ".join(stored["quality"]["reasons"])
    assert stored["probabilities"] == {}


def test_of_two_detectors_the_configured_one_is_analysed(
    acquire, config, model, catalog, results
):
    uid = acquire(with_value(3, np.uint16), np.full(SHAPE, 4, np.uint16))
    summary = process_run(uid, config, model=model, catalog=catalog)
    assert summary["label"] != "invalid"
    assert results[uid]["two_time"].shape == (1, 40, 40)


def test_run_that_is_still_written_is_found_by_no_label(results, acquire, monkeypatch):
    uid = acquire(with_value(3, np.uint16))
    results.create_container(uid, metadata={"run_uid": uid, "status": "writing"})
    assert uid not in list(results.search(Key("status") == "complete"))
    assert uid not in set(results.labels_table()["run_uid"])
