"""Frames of real runs: acquired by a RunEngine, written by TiledWriter."""

import warnings
from copy import deepcopy

import bluesky.plans as bp
import h5py
import numpy as np
import pytest
from bluesky_tiled_plugins import TiledWriter

from ainerd_bluesky.config import BeamlineConfig
from ainerd_bluesky.errors import (
    FrameStackError,
    RunNotReadyError,
    UnsuitableRunError,
)
from tiled_adapters.runs import read_run

pytestmark = pytest.mark.integration

FRAMES = np.random.default_rng(1).poisson(3, (10, 6, 7)).astype("uint16")


@pytest.fixture(scope="module")
def acquire(catalog, hdf5_detector, run_engine):
    """Take a run, by default of one event of ten frames, and return its uid."""

    def run(detector=None, documents=None, n_events=1, **metadata):
        writer = documents or TiledWriter(catalog["raw"], batch_size=1)
        plan = bp.count([detector or hdf5_detector(FRAMES)], num=n_events)
        (uid,) = run_engine(plan, writer, **{"technique": "XPCS", **metadata})
        return uid

    return run


@pytest.fixture(scope="module")
def run_uid(acquire):
    """A run that tells its frame time and its sample."""
    return acquire(sample="S7", frame_time=0.1)


@pytest.fixture
def config(tiled_server, tmp_path):
    """Make the configuration of a beamline."""

    def make(roots=(tiled_server.detector_folder,), normalisation="static", **detector):
        return BeamlineConfig.model_validate(
            {
                "name": "test",
                "detector": {"field": "eiger", **detector},
                "partition": {"path": tmp_path / "q.h5"},
                "catalog": {"allowed_roots": roots},
                "correlation": {"normalisation": normalisation},
            }
        )

    return make


EXPECTED = FRAMES + 1  # the detector adds the number of the event


@pytest.mark.parametrize("block_frames", [2, 64])
def test_frames_are_read_from_their_file(catalog, run_uid, config, block_frames):
    frames = read_run(catalog, run_uid, config())
    assert frames.path is not None
    assert (frames.dataset, frames.field) == ("/entry/data/data", "eiger")
    assert frames.shape == (10, 6, 7)
    assert frames.dtype == np.uint16
    np.testing.assert_array_equal(
        np.concatenate(list(frames.blocks(block_frames))), EXPECTED
    )


def test_frames_outside_of_allowed_folders_come_from_the_server(
    catalog, run_uid, config, tmp_path
):
    frames = read_run(catalog, run_uid, config(roots=[tmp_path]))
    assert (frames.path, frames.dataset, frames.field) == (None, None, "eiger")
    np.testing.assert_array_equal(np.concatenate(list(frames.blocks(2))), EXPECTED)


def writer_told(catalog, shape, **parameters):
    """Make a writer to which the detector tells another shape of its events."""
    writer = TiledWriter(catalog["raw"], batch_size=1)

    def write(name, doc):
        doc = deepcopy(doc)
        if name == "descriptor":
            doc["data_keys"]["eiger"]["shape"] = list(shape)
        if name == "stream_resource":
            doc["parameters"].update(parameters)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of "concat"
            writer(name, doc)

    return write


@pytest.mark.parametrize("shape", [(1, 6, 7), (6, 7)], ids=["stack", "frame"])
@pytest.mark.parametrize("is_direct", [True, False], ids=["file", "server"])
def test_events_of_one_frame_are_a_series(
    catalog, acquire, config, hdf5_detector, tiled_server, tmp_path, shape, is_direct
):
    chunk_shape = [1] * (len(shape) - 1) + [6, 7]
    writer = writer_told(catalog, shape, chunk_shape=chunk_shape)
    uid = acquire(hdf5_detector(np.ones((1, 6, 7), "uint16")), writer, n_events=5)
    roots = [tiled_server.detector_folder if is_direct else tmp_path]
    frames = read_run(catalog, uid, config(roots=roots))
    assert frames.shape == (5, 6, 7)
    blocks = list(frames.blocks(2))
    assert [len(block) for block in blocks] == [2, 2, 1]
    assert np.concatenate(blocks)[:, 0, 0].tolist() == [2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    "parameters",
    [{}, {"join_method": "concat", "chunk_shape": [1, 6, 7]}],
    ids=["stack", "concat"],
)
def test_several_events_of_several_frames_are_no_series(
    catalog, acquire, config, parameters
):
    uid = acquire(None, writer_told(catalog, FRAMES.shape, **parameters), n_events=3)
    with pytest.raises(FrameStackError, match="3 events of 10 frames: a series is one"):
        read_run(catalog, uid, config())


def test_documents_of_the_run_come_along(catalog, run_uid, config):
    frames = read_run(catalog, run_uid, config())
    assert frames.start["sample"] == "S7"
    assert frames.exit_status == "success"


@pytest.mark.parametrize(
    ("detector", "frame_time"),
    [
        ({"frame_time": 0.5, "frame_time_field": "eiger_frame_time"}, 0.5),
        ({"frame_time_field": "eiger_frame_time"}, 0.002),
        ({}, 0.1),
    ],
    ids=["beamline", "detector", "start-document"],
)
def test_frame_time_is_found(catalog, run_uid, config, detector, frame_time):
    assert read_run(catalog, run_uid, config(**detector)).frame_time == frame_time


def test_frame_time_field_that_is_not_there_says_what_is(catalog, run_uid, config):
    with pytest.raises(
        UnsuitableRunError, match=r"'acquire_period' .* \['eiger_frame_time'\]"
    ):
        read_run(catalog, run_uid, config(frame_time_field="acquire_period"))


def test_frame_time_that_is_no_number_is_told(catalog, acquire, config):
    uid = acquire(frame_time="10 ms")
    with pytest.raises(UnsuitableRunError, match="'10 ms', not seconds"):
        read_run(catalog, uid, config())


RISING = np.arange(1.0, 11.0)


@pytest.fixture
def monitored(catalog, run_engine, hdf5_detector, monitor, config):
    """Take a run with a monitor, and read it normalised by that."""

    def run(*values, frames=FRAMES, documents=None, **settings):
        devices = [hdf5_detector(frames), monitor(*values)]
        writer = documents or TiledWriter(catalog["raw"], batch_size=1)
        plan = bp.count(devices, num=len(values))
        (uid,) = run_engine(plan, writer, technique="XPCS")
        settings = {"normalisation": "monitor", "monitor_field": "i0", **settings}
        return read_run(catalog, uid, config(**settings))

    return run


@pytest.mark.parametrize(
    ("values", "expected"),
    [(RISING.tolist(), RISING), (2.5, [2.5] * 10)],
    ids=["array", "number"],
)
def test_monitor_has_a_value_for_each_frame(monitored, values, expected):
    monitor = monitored(values).monitor
    assert monitor.dtype == np.float64
    assert monitor.tolist() == list(expected)


def test_events_of_one_frame_have_a_monitor_each(catalog, monitored):
    writer = writer_told(catalog, (1, 6, 7), chunk_shape=[1, 6, 7])
    frames = np.ones((1, 6, 7), "uint16")
    run = monitored(3.0, 4.0, 5.0, frames=frames, documents=writer)
    assert run.monitor.tolist() == [3, 4, 5]


@pytest.mark.parametrize(
    "settings",
    [{"normalisation": "static"}, {"monitor_field": None}],
    ids=["other-normalisation", "no-field"],
)
def test_monitor_that_normalises_nothing_is_not_read(monitored, settings):
    assert monitored([np.nan] * 3, **settings).monitor is None


def test_frames_without_beam_are_left_to_the_correlation(monitored):
    assert monitored([0.0, *RISING[1:]]).monitor[0] == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, 2.0, 3.0], "has 3 values for 10 frames"),
        ([*RISING[:8], np.nan, np.inf], "in 2 of 10 frames, the first is 8"),
        (0.0, "not above 0 in 10 of 10 frames, at most 10 %"),
        ([0.0, -1.0, *RISING[2:]], "not above 0 in 2 of 10 frames"),
    ],
    ids=["short", "nan", "zero", "dark"],
)
def test_monitor_that_cannot_divide_is_named(monitored, values, message):
    with pytest.raises(FrameStackError, match=rf"monitor 'i0' of run .*{message}"):
        monitored(values)


def test_monitor_that_is_not_there_says_what_is(monitored):
    with pytest.raises(
        UnsuitableRunError,
        match=r"monitor 'i1' of run .* 'primary', only \['eiger', 'i0'.*correct",
    ):
        monitored(1.0, monitor_field="i1")


def test_monitor_that_is_no_number_is_named(monitored):
    with pytest.raises(UnsuitableRunError, match=r"monitor 'i0' of run .* no numbers"):
        monitored("bright")


def test_run_that_is_not_there_is_worth_another_try(catalog, config):
    with pytest.raises(RunNotReadyError, match="not in 'raw'"):
        read_run(catalog, "00000000-nobody", config())


def test_run_without_stop_is_worth_another_try(catalog, acquire, config):
    writer = TiledWriter(catalog["raw"], batch_size=1)

    def all_but_stop(name, doc):
        if name != "stop":
            writer(name, doc)

    uid = acquire(documents=all_but_stop)
    with pytest.raises(RunNotReadyError, match="no stop document"):
        read_run(catalog, uid, config())


@pytest.mark.parametrize(
    ("detector", "message"),
    [
        ({"field": "lambda"}, r"no field 'lambda' .*eiger"),
        ({"stream": "baseline"}, r"no stream 'baseline', only \['primary'\]"),
    ],
    ids=["field", "stream"],
)
def test_run_without_the_detector_says_what_it_has(
    catalog, run_uid, config, detector, message
):
    with pytest.raises(UnsuitableRunError, match=message):
        read_run(catalog, run_uid, config(**detector))


def test_run_of_another_technique_is_unsuitable(catalog, run_uid, config):
    other = config().model_copy(update={"technique": "SAXS"})
    with pytest.raises(UnsuitableRunError, match="technique 'XPCS'"):
        read_run(catalog, run_uid, other)


def test_aborted_run_tells_its_exit_status(catalog, acquire, config, hdf5_detector):
    detector = hdf5_detector(FRAMES)
    trigger = detector.trigger
    uids = []
    writer = TiledWriter(catalog["raw"], batch_size=1)

    def documents(name, doc):
        uids.extend([doc["uid"]] if name == "start" else [])
        writer(name, doc)

    def fail_second_time():
        if detector.get_index() == 1:
            raise RuntimeError("no more")
        return trigger()

    detector.trigger = fail_second_time
    with pytest.raises(RuntimeError, match="no more"):
        acquire(detector, documents, n_events=2)
    frames = read_run(catalog, uids[0], config())
    assert frames.exit_status == "fail"
    assert frames.shape[0] == 10
    assert frames.frame_time is None


def test_file_that_is_shorter_than_the_run_is_refused(
    catalog, acquire, config, hdf5_detector
):
    detector = hdf5_detector(FRAMES)
    uid = acquire(detector)
    with h5py.File(detector.path, "a") as file:
        file["/entry/data/data"].resize(7, axis=0)
    with pytest.raises(FrameStackError, match="10 frames"):
        list(read_run(catalog, uid, config()).blocks(4))


def test_raw_run_is_found_from_its_results(run_uid, results):
    assert results.run(run_uid).metadata["start"]["uid"] == run_uid


def test_documents_of_a_run_can_be_replayed(catalog, run_uid):
    names = [name for name, _ in catalog["raw"][run_uid].documents()]
    assert (names[0], names[-1]) == ("start", "stop")
