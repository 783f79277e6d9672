"""Files of an archive: which are found, how they are named, what is refused."""

import json
import os

import h5py
import httpx
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from ainerd_bluesky.config import load_beamline
from ainerd_bluesky.errors import (
    CatalogError,
    FileFormatError,
    NamingError,
    PartitionError,
    TwoTimeError,
)
from ainerd_bluesky.xpcs import QPartition
from flows import archive
from flows.archive import Archive, FileReading, analyse_file
from flows.archive_files import file_uid, find_files
from flows.commands import register
from tiled_adapters.formats.qmap import read_partition, write_partition
from tiled_adapters.geometry import DetectorGeometry

pytest.importorskip("torch")
from ainerd_bluesky.ml import load_model


@pytest.fixture(scope="module")
def model():
    return load_model()


def stationary_map(rng, n_frames=80):
    frame = np.arange(n_frames)
    two_time = 1 + 0.4 * np.exp(-np.abs(frame[:, None] - frame) / 5)
    noise = 0.02 * rng.standard_normal(two_time.shape)
    return (two_time + (noise + noise.T) / 2).astype(np.float32)


@pytest.fixture
def frames_file(tmp_path, speckle_counts):
    frames = speckle_counts(120, 400, tau=15.0).reshape(120, 20, 20)
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["entry/data/data"] = frames
    partition = QPartition(np.ones((20, 20), np.int32), [0.01], [np.nan])
    write_partition(tmp_path / "qmap.hdf", partition)
    return tmp_path / "raw.h5"


BEAMLINE = """
name = "own"
[detector]
field = "eiger"
[partition]
path = "qmap.hdf"
[correlation]
engine = "numpy"
estimator = "mean-of-ratios"
"""


@pytest.fixture
def beamline_file(frames_file):
    path = frames_file.parent / "own.toml"
    path.write_text(BEAMLINE)
    return path


def test_folder_is_searched_for_data_and_not_for_companions(tmp_path):
    names = ["b.npy", "sub/a.hdf", "x_metadata.hdf", "qmap_S9.hdf", "e_data_000001.h5"]
    (tmp_path / "sub").mkdir()
    for name in [*names, "notes.txt"]:
        (tmp_path / name).touch()
    found = find_files([tmp_path, tmp_path / "b.npy", tmp_path / "notes.txt"])
    assert [path.name for path in found] == ["b.npy", "a.hdf", "notes.txt"]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["pipe.h5", "pipe.npy", "pipe.bin"])
def test_pipe_is_named_and_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    (path,) = find_files([tmp_path])
    with pytest.raises(FileFormatError, match=f"{name} is no regular file"):
        file_uid(path)


def test_one_file_stands_for_a_series_of_frames(tmp_path):
    series = "eiger4m_v2_sparse_frame_0_"
    names = [
        *(f"r.bin.{number:03d}" for number in range(6)),
        *("a.bin", "b.imm", "c.cmp", "scan.h5"),
        *(f"scan0001/{series}{number:05d}.h5" for number in range(3)),
        *(f"scan0001/eiger4m_v2_frame_0_{number:05d}.h5" for number in range(3)),
    ]
    (tmp_path / "scan0001").mkdir()
    for name in names:
        (tmp_path / name).touch()
    found = [path.name for path in find_files([tmp_path])]
    assert sorted(found) == sorted(
        ["r.bin.000", "a.bin", "b.imm", "c.cmp", "scan.h5", f"{series}00000.h5"]
    )


def test_uid_follows_name_and_content(tmp_path):
    for name, content in (("a b.npy", b"1"), ("c.npy", b"1"), ("d.npy", b"2")):
        (tmp_path / name).write_bytes(content)
    uids = [file_uid(tmp_path / name) for name in ("a b.npy", "c.npy", "d.npy")]
    assert uids[0].startswith("a-b-")
    assert uids[0][-8:] == uids[1][-8:] != uids[2][-8:]


def test_each_dataset_of_a_file_has_a_name_of_its_own(tmp_path):
    path = tmp_path / "a.h5"
    path.write_bytes(b"1")
    uids = [file_uid(path, name) for name in (None, "/x/maps", "x/maps", "x-maps")]
    assert uids[1] == uids[2]
    assert uids[1].startswith("a-x-maps-")
    assert len({*uids}) == 3


def test_two_datasets_of_one_file_are_two_results(tmp_path, rng, model):
    with h5py.File(tmp_path / "maps.h5", "w") as file:
        file["a"] = stationary_map(rng)
        file["b"] = stationary_map(rng)
    first, second = (
        analyse_file(tmp_path / "maps.h5", model, FileReading(dataset=name))
        for name in "ab"
    )
    assert (first.run_uid, first.key) != (second.run_uid, second.key)
    assert second.provenance["metadata"]["dataset"] == "b"


def test_bare_map_is_analysed(tmp_path, rng, model):
    np.save(tmp_path / "map.npy", stationary_map(rng))
    analysis = analyse_file(tmp_path / "map.npy", model)
    assert analysis.summary["label"] == "stationary"
    assert analysis.run_uid == file_uid(tmp_path / "map.npy")


def test_given_frame_time_scales_the_rates(tmp_path, rng, model):
    np.save(tmp_path / "map.npy", stationary_map(rng))
    per_frame, per_second = (
        analyse_file(tmp_path / "map.npy", model, FileReading(frame_time=time))
        for time in (1.0, 0.01)
    )
    rates = [a.summary["physics"]["relaxation_rate"] for a in (per_frame, per_second)]
    assert rates[1] == pytest.approx(100 * rates[0], rel=1e-3)
    assert rates[0] == pytest.approx(0.1, rel=0.1)  # exp(-2 Gamma t) = exp(-t / 5)


def test_file_without_a_map_is_named(tmp_path, model):
    np.save(tmp_path / "empty.npy", np.zeros((0, 64, 64)))
    with pytest.raises(FileFormatError, match=r"empty\.npy: .*got \(0, 64, 64\)"):
        analyse_file(tmp_path / "empty.npy", model)


def test_raw_frames_are_reduced_with_their_partition(frames_file, model):
    reading = FileReading(is_raw=True, partition=frames_file.parent / "qmap.hdf")
    analysis = analyse_file(frames_file, model, reading)
    assert analysis.arrays["two_time"].shape == (1, 120, 120)


def test_photon_events_are_reduced_as_events(tmp_path, rng, model):
    frame, pixel = np.sort(rng.integers(0, 64, 20_000)), rng.integers(0, 2**19, 20_000)
    # A file of a Rigaku detector: count, pixel and frame in one word.
    (1 | pixel << 16 | frame << 40).astype("<u8").tofile(tmp_path / "x.bin")
    partition = QPartition(np.ones((512, 1024), np.int32), [0.01], [np.nan])
    write_partition(tmp_path / "qmap.hdf", partition)
    reading = FileReading(is_raw=True, partition=tmp_path / "qmap.hdf", frame_time=0.1)
    analysis = analyse_file(tmp_path / "x.bin", model, reading)
    assert analysis.recipe["reduction"]["kind"] == "events"
    assert analysis.arrays["two_time"].shape == (1, 64, 64)
    photons = analysis.arrays["intensity"] * 2**19
    assert photons == pytest.approx(np.bincount(frame), rel=1e-3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (None, r"raw\.h5 holds frames: name its q-partition \(--partition\)"),
        ("gone.hdf", r"no q-partition .*gone\.hdf: correct --partition, or make one"),
    ],
)
def test_frames_without_a_partition_name_the_cure(frames_file, model, name, message):
    partition = None if name is None else frames_file.parent / name
    reading = FileReading(is_raw=True, partition=partition)
    with pytest.raises(PartitionError, match=message):
        analyse_file(frames_file, model, reading)


def test_partition_of_transposed_frames_is_turned(tmp_path, speckle_counts, model):
    frames = speckle_counts(120, 300, tau=15.0).reshape(120, 15, 20)
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["entry/data/data"] = frames
    partition = QPartition(np.ones((20, 15), np.int32), [0.01], [np.nan])
    write_partition(tmp_path / "qmap.hdf", partition)
    reading = FileReading(is_raw=True, partition=tmp_path / "qmap.hdf")
    analysis = analyse_file(tmp_path / "raw.h5", model, reading)
    assert analysis.arrays["two_time"].shape == (1, 120, 120)


def test_array_that_is_not_square_is_refused(tmp_path, model):
    np.save(tmp_path / "odd.npy", np.ones((10, 20)))
    with pytest.raises(FileFormatError, match=r"odd\.npy"):
        analyse_file(tmp_path / "odd.npy", model)


def test_map_that_is_too_small_is_invalid_with_a_reason(tmp_path, model):
    np.save(tmp_path / "tiny.npy", np.ones((3, 3)))
    summary = analyse_file(tmp_path / "tiny.npy", model).summary
    assert summary["label"] == "invalid"
    assert summary["quality"]["reasons"]


@pytest.mark.parametrize(
    "content", [b"", b"\x89HDF\r\n\x1a\n" + bytes(60), b"text"], ids=len
)
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5", ".hdf"])
def test_damaged_file_is_named(tmp_path, model, suffix, content):
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=f"damaged\\{suffix}"):
        analyse_file(path, model)


def test_text_is_no_npy(tmp_path, model):
    (tmp_path / "map.npy").write_text("text")
    with pytest.raises(FileFormatError, match=r"no readable \.npy file$"):
        analyse_file(tmp_path / "map.npy", model)


def test_pickle_is_refused_without_advice_to_unpickle(tmp_path, model):
    np.save(tmp_path / "map.npy", np.array({"a": 1}, dtype=object))
    with pytest.raises(FileFormatError, match=r"object .*, no array of real numbers$"):
        analyse_file(tmp_path / "map.npy", model)


def test_words_are_no_map(tmp_path, model):
    np.save(tmp_path / "words.npy", np.array([["a", "b"], ["c", "d"]]))
    with pytest.raises(FileFormatError, match="no array of real numbers"):
        analyse_file(tmp_path / "words.npy", model)


@pytest.mark.parametrize("name", ["entry/data/data", "entry/data/data_000001", "stack"])
def test_frames_that_are_not_announced_are_recognised(tmp_path, model, name):
    path = tmp_path / "frames.h5"
    with h5py.File(path, "w") as file:
        file[name] = np.ones((12, 20, 30), np.uint16)
    with pytest.raises(FileFormatError, match=r"frames\.h5 .*--raw --partition"):
        analyse_file(path, model)


def test_map_beside_other_arrays_is_no_frames(tmp_path, rng, model):
    with h5py.File(tmp_path / "map.h5", "w") as file:
        file["two_time"] = stationary_map(rng)
        file["profiles"] = np.ones((4, 5, 6))
    analysis = analyse_file(tmp_path / "map.h5", model)
    assert analysis.summary["label"] == "stationary"


class Catalog(dict[str, object]):
    uri = "http://localhost/api/v1/metadata/"


class Publisher:
    def __init__(self, failure=None):
        self.failure = failure
        self.published = []

    def __call__(self, _results):
        return self

    def publish(self, analysis):
        if self.failure:
            raise self.failure
        self.published.append(analysis)


@pytest.fixture
def ingest(monkeypatch, tmp_path, rng, model):
    """Ingest three maps with a publisher that may fail."""

    def run(failure=None):
        monkeypatch.setattr(archive, "ResultsPublisher", Publisher(failure))
        monkeypatch.setattr(archive, "register_file", lambda *_, **__: None)
        paths = [tmp_path / name for name in ("a.npy", "b.npy", "c.npy")]
        for path in paths:
            np.save(path, stationary_map(rng))
        catalog = Catalog({"processed/xpcs": {}})
        return list(Archive(catalog, model, FileReading()).ingest(paths))

    return run


def test_settings_decide_what_is_published(
    frames_file, beamline_file, model, monkeypatch
):
    publisher = Publisher()
    monkeypatch.setattr(archive, "ResultsPublisher", publisher)
    monkeypatch.setattr(archive, "register_file", lambda *_, **__: None)
    config = load_beamline(beamline_file)
    reading = FileReading(is_raw=True, partition=config.partition.path)
    catalog = Catalog({"processed/xpcs": {}})
    (row,) = Archive(catalog, model, reading, config=config).ingest([frames_file])
    assert row.error is None
    (analysis,) = publisher.published
    assert analysis.recipe["reduction"]["correlation"]["estimator"] == "mean-of-ratios"


def test_server_that_fails_ends_the_work_and_the_rest_is_listed(ingest):
    rows = ingest(httpx.ConnectError("refused"))
    assert [row.error for row in rows] == ["server: refused", "not tried", "not tried"]
    assert not any(row.is_done for row in rows)


def test_map_that_cannot_be_analysed_is_one_row_and_the_rest_goes_on(
    ingest, monkeypatch
):
    def analyse(path, *_, **settings):
        if path.name == "b.npy":
            raise TwoTimeError("not a map")
        return analyse_file(path, *_, **settings)

    monkeypatch.setattr(archive, "analyse_file", analyse)
    rows = ingest()
    assert [row.error for row in rows] == [None, "not a map", None]
    assert all(row.is_done for row in rows)


def test_catalog_of_another_layout_is_refused_with_the_cure(model):
    with pytest.raises(CatalogError, match=r"processed/xpcs.*ainerd serve"):
        Archive(Catalog(), model, FileReading())


class BrokenNode(dict[str, object]):
    """A vocabulary that cannot be searched."""

    def __init__(self, failure):
        self.failure = failure

    def search(self, query):
        raise self.failure


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        NamingError("no act of naming: 'Gel' is no word"),
        TypeError("int() argument must be a string"),
    ],
    ids=["server", "act", "number"],
)
def test_vocabulary_that_cannot_be_read_is_one_error(model, failure):
    catalog = Catalog(
        {"processed/xpcs": {}, "processed/vocabulary": BrokenNode(failure)}
    )

    with pytest.raises(CatalogError, match="cannot read the vocabulary") as raised:
        Archive(catalog, model, FileReading())

    assert str(failure) in str(raised.value)


def test_frames_without_a_partition_are_refused_with_the_option(frames_file, model):
    with pytest.raises(PartitionError, match="--partition"):
        analyse_file(frames_file, model, FileReading(is_raw=True))


def test_partition_of_another_shape_makes_an_invalid_result(
    frames_file, model, tmp_path
):
    other = QPartition(np.ones((5, 5), np.int32), [0.01], [np.nan])
    write_partition(tmp_path / "other.hdf", other)
    reading = FileReading(is_raw=True, partition=tmp_path / "other.hdf")
    summary = analyse_file(frames_file, model, reading).summary
    assert summary["label"] == "invalid"
    assert "(5, 5)" in " ".join(summary["quality"]["reasons"])


def test_command_takes_engine_estimator_and_bins_of_a_beamline(
    frames_file, beamline_file
):
    app = typer.Typer()
    register(app)
    given = ["classify", str(frames_file), "--raw", "--json"]
    done = CliRunner().invoke(app, [*given, "--beamline", str(beamline_file)])
    assert done.exit_code == 0, done.output
    recipe = json.loads(done.stdout)["recipe"]["reduction"]
    assert recipe["engines"] == ["numpy"]
    assert recipe["correlation"]["estimator"] == "mean-of-ratios"


GEOMETRY = DetectorGeometry((9.5, 9.5), 75e-6, 5.0, 1.2)


def test_bins_tell_the_geometry_that_made_them(frames_file, model):
    path = frames_file.parent / "qmap.hdf"
    write_partition(path, read_partition(path), geometry=GEOMETRY)
    reading = FileReading(is_raw=True, partition=path, frame_time=0.1)
    analysis = analyse_file(frames_file, model, reading)
    stored = analysis.provenance["metadata"]["geometry"]
    assert stored["distance"] == 5.0
    assert stored["wavelength"] == pytest.approx(1.2)


def test_bins_that_were_turned_tell_no_geometry(tmp_path, model, speckle_counts):
    frames = speckle_counts(120, 200, tau=15.0).reshape(120, 10, 20)
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["entry/data/data"] = frames
    turned = QPartition(np.ones((20, 10), np.int32), [0.01], [np.nan])
    write_partition(tmp_path / "q.hdf", turned, geometry=GEOMETRY)
    reading = FileReading(is_raw=True, partition=tmp_path / "q.hdf", frame_time=0.1)
    analysis = analyse_file(tmp_path / "raw.h5", model, reading)
    assert analysis.provenance["metadata"]["geometry"] is None
