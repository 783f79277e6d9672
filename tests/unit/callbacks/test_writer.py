import json
import logging
from pathlib import Path

import pytest
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp

from ainerd_bluesky.callbacks.writer import RunWriter, check_uri
from ainerd_bluesky.errors import CatalogError, UnsuitableRunError


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data" / "inner").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "data" / "link").symlink_to(tmp_path / "other")
    return tmp_path / "data"


@pytest.mark.parametrize(
    "uri",
    ["file://localhost{root}/x.h5", "file://{root}/inner/x.h5", "file:{root}/a%20b.h5"],
)
def test_a_file_under_an_allowed_root_is_let_through(data, uri):
    path = check_uri(uri.format(root=data), [Path("/nowhere"), data])
    assert path.is_relative_to(data)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("file://localhost{root}/../other/x.h5", "not under an allowed folder"),
        ("file://localhost{root}/%2e%2e/other/x.h5", "not under an allowed folder"),
        ("file://localhost{root}/link/x.h5", "not under an allowed folder"),
        ("file://localhost{root}-2/x.h5", "not under an allowed folder"),
        ("file://localhost/etc/passwd", "not under an allowed folder"),
        ("file://elsewhere{root}/x.h5", "must be a local file"),
        ("http://localhost{root}/x.h5", "must be a local file"),
        ("s3://bucket/x.h5", "must be a local file"),
        ("{root}/x.h5", "must be a local file"),
    ],
)
def test_a_file_that_lies_elsewhere_is_refused(data, uri, message):
    with pytest.raises(UnsuitableRunError, match=message):
        check_uri(uri.format(root=data), [data])


def test_without_roots_the_cure_is_named():
    with pytest.raises(UnsuitableRunError, match=r"add its folder to catalog\.allowed"):
        check_uri("file://localhost/data/x.h5", [])


def test_without_a_server_a_run_goes_to_the_backup_folder(tmp_path, caplog):
    def connect():
        raise CatalogError("no server at http://nowhere")

    writer = RunWriter(connect, allowed_roots=[], backup_folder=tmp_path / "backup")
    RE = RunEngine({}, call_returns_result=False)
    RE.subscribe(writer)

    @bpp.run_decorator(md={"technique": "XPCS"})
    def plan():
        yield from bps.null()

    with caplog.at_level(logging.WARNING):
        RE(plan())
        RE(plan())
    writer.close()
    backups = list((tmp_path / "backup").glob("*.jsonl"))
    assert len(backups) == 2
    lines = [json.loads(line) for line in backups[0].read_text().splitlines()]
    assert [line["name"] for line in lines] == ["start", "stop"]
    assert "Tiled is away: no server at http://nowhere" in caplog.text


def test_a_writer_that_hangs_does_not_hold_the_run_engine(tmp_path, caplog):
    import threading

    is_over = threading.Event()

    def connect():
        is_over.wait(20)
        raise CatalogError("late")

    writer = RunWriter(connect, allowed_roots=[], backup_folder=tmp_path, patience=0.2)
    with caplog.at_level(logging.WARNING):
        writer("start", {"uid": "a", "time": 0})
        writer("stop", {"uid": "b", "run_start": "a", "time": 1})
    assert "run a is still being written" in caplog.text
    is_over.set()
    writer.close()
    assert (tmp_path / "a.jsonl").read_text().count("\n") == 2
