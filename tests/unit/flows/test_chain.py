import time

import pytest

from ainerd_bluesky.config import BeamlineConfig
from ainerd_bluesky.errors import (
    ConfigError,
    FileFormatError,
    RunNotReadyError,
    UnsuitableRunError,
)
from ainerd_bluesky.xpcs.simulate.movie import default_partition
from flows import chain
from flows.beamline import read_beamline
from flows.chain import read, reduce
from tiled_adapters.formats.qmap import write_partition


class Node:
    def __init__(self, **metadata):
        self.metadata = metadata


class Catalog(dict[tuple[str, str], Node]):
    uri = "http://tiled"


START = {"technique": "XPCS", "scan_id": 3, "sample": {"name": "silica"}, "time": 1}
STOP = {"exit_status": "success", "time": 2}


@pytest.fixture
def config():
    return BeamlineConfig(
        name="b", detector={"field": "eiger"}, partition={"path": "partition.h5"}
    )


@pytest.mark.parametrize(
    ("metadata", "error", "message"),
    [
        (None, RunNotReadyError, "run u is not in 'raw' of http://tiled"),
        ({"start": START}, RunNotReadyError, "no stop document"),
        ({"start": {}, "stop": STOP}, UnsuitableRunError, "has technique None"),
        (
            {"start": {"technique": "SAXS"}, "stop": STOP},
            UnsuitableRunError,
            "technique 'SAXS', beamline 'b' analyses 'XPCS'",
        ),
    ],
)
def test_a_run_that_cannot_be_read_is_named(config, metadata, error, message):
    catalog = Catalog({} if metadata is None else {("raw", "u"): Node(**metadata)})
    with pytest.raises(error, match=message):
        read("u", config, catalog)


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        ({"exit_status": "abort", "reason": "lunch"}, "run ended with 'abort': lunch"),
        ({"exit_status": "fail", "reason": ""}, "run ended with 'fail'"),
    ],
)
def test_a_run_that_broke_off_is_refused_with_the_reason(config, stop, reason):
    catalog = Catalog({("raw", "u"): Node(start=START, stop=stop)})
    reading = read("u", config, catalog)
    assert reading.refusal == ("run-aborted", reason)
    assert reading.acquisition.sample == "silica"


def test_the_configuration_survives_the_way_to_the_worker(config, tmp_path):
    path = tmp_path / "beamline.json"
    path.write_text(config.model_dump_json())
    assert read_beamline(path) == config


@pytest.mark.parametrize("text", ["{", '{"name": "b"}'])
def test_a_configuration_that_cannot_be_used_is_named(tmp_path, text):
    path = tmp_path / "beamline.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"cannot use beamline file .*beamline\.json"):
        read_beamline(path)


def test_a_beamline_is_found_by_its_name():
    assert read_beamline("demo").name == "demo"


class LateFile:
    """Frames whose file is not whole."""

    frame_time, monitor, path, field, dataset = 0.01, None, None, "eiger", None

    def blocks(self, block_frames):
        raise FileFormatError("file is truncated")
        yield


def refuse(*_):
    raise FileFormatError("file is truncated")


@pytest.fixture
def read_now(config, monkeypatch, tmp_path):
    """Read and reduce a run that ended `age` seconds ago."""
    write_partition(tmp_path / "q.h5", default_partition((32, 32)))
    partition = config.partition.model_copy(update={"path": tmp_path / "q.h5"})
    config = config.model_copy(update={"partition": partition})

    def run(read_run, age):
        monkeypatch.setattr(chain, "read_run", read_run)
        stop = {**STOP, "time": time.time() - age}
        catalog = Catalog({("raw", "u"): Node(start=START, stop=stop)})
        return reduce(read("u", config, catalog), config)

    return run


@pytest.mark.parametrize("read_run", [refuse, lambda *_: LateFile()])
@pytest.mark.parametrize("age", [-5, 0, 50])
def test_a_file_that_is_not_whole_may_still_come(read_now, read_run, age):
    with pytest.raises(RunNotReadyError, match="run u may still come: file is trunc"):
        read_now(read_run, age)


@pytest.mark.parametrize("read_run", [refuse, lambda *_: LateFile()])
@pytest.mark.parametrize("age", [70, -4000])
def test_a_file_that_did_not_come_makes_a_refused_run(read_now, read_run, age):
    quality = read_now(read_run, age).quality
    assert quality.flags == ("unreadable",)
    assert quality.reasons == ("file is truncated",)
