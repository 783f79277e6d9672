"""Real files, through the commands a person types."""

import json
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

pytest.importorskip("torch")
from ainerd_bluesky.config import ReductionConfig
from ainerd_bluesky.ml import load_model
from ainerd_bluesky.pipeline import AnalysisSettings
from ainerd_bluesky.xpcs import ring_partition
from flows.archive import FileReading, analyse_file
from flows.archive_files import file_uid
from tiled_adapters.formats.qmap import write_partition

pytestmark = pytest.mark.integration

RESULT = "Z0001_synthetic-aging_a0001_f000600_r00001_results.hdf"
SELECTED = "Z0001_dqsel_3_5_twotime_results.hdf"
RAW = "Z0001_synthetic-aging_a0001_f000600_r00001.h5"


def ainerd(*arguments, **variables):
    return subprocess.run(
        [sys.executable, "-m", "ainerd_bluesky", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "140", **variables},
    )


@pytest.fixture
def ingest(tiled_server):
    def run(*arguments):
        return ainerd(
            "ingest",
            *arguments,
            "--uri",
            tiled_server.uri,
            TILED_API_KEY=tiled_server.api_key,
        )

    return run


def test_published_aging_map_is_called_aging_with_rates_by_age(shared_data):
    path = shared_data / "chx_aging" / "two_time.npy"
    answer = ainerd("classify", path)
    assert answer.stdout.startswith("aging")
    assert "relaxation by age" in answer.stdout
    assert "1/frame" in answer.stdout


def test_classify_prints_json_for_machines(shared_data):
    path = shared_data / "chx_aging" / "two_time.npy"
    answer = ainerd("classify", path, "--json", "--frame-time", "0.01")
    summary = json.loads(answer.stdout)
    assert summary["label"] == "aging"
    assert summary["time_unit"] == "s"
    assert len(summary["bins"]) == 1
    assert len(summary["by_age"]) > 3
    assert summary["physics"]["relaxation_rate"] == pytest.approx(2.3, rel=0.3)


def test_boost_corr_results_land_as_labelled_nodes(shared_data, ingest, results):
    folder = shared_data / "formats" / "synthetic_8idi"
    answer = ingest(folder / RESULT, folder / SELECTED)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "2 labelled, 0 invalid, 0 not read" in answer.stdout
    whole, selected = (results[file_uid(folder / name)] for name in (RESULT, SELECTED))
    assert whole.metadata["label"] == "aging"
    assert whole["two_time"].shape == (9, 600, 600)
    assert selected["two_time"].shape[0] == 2
    q_values = whole["bins"].read()["q"].to_numpy()
    assert selected["bins"].read()["q"].to_numpy() == pytest.approx(q_values[[2, 4]])


@pytest.mark.parametrize(
    ("name", "n_frames"),
    [(f"synthetic_8idi/{RAW}", 600), ("synthetic_eiger/chxsyn_1_master.h5", 300)],
    ids=["8-ID raw", "Eiger master"],
)
def test_raw_frames_are_reduced_and_published(
    shared_data, ingest, results, name, n_frames
):
    folder = shared_data / "formats"
    partition = folder / "synthetic_8idi" / "qmap_S90_D9.hdf"
    answer = ingest("--raw", "--partition", partition, folder / name)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    node = results[file_uid(folder / name)]
    assert node.metadata["frame_time"] == pytest.approx(0.01)
    assert node.metadata["label"] not in {"invalid", "no-signal"}
    assert node["two_time"].shape == (9, n_frames, n_frames)


@pytest.fixture
def rigaku(shared_data, tmp_path):
    """Events whose blocks of 16 frames share one speckle pattern of contrast 0.5.

    A beam stop and its cross shadow the detector; pixels differ by 12 % besides.
    """
    row, col = np.abs(np.indices((512, 1024)) - np.array([[[234.5]], [[581.5]]]))
    partition = ring_partition(
        (512, 1024),
        beam_center=(234.5, 581.5),
        pixel_size=76e-6,
        distance=4.0,
        wavelength=1.1,
        q_edges=[0.0065, 0.0109],
        n_static=20,
        mask=(row > 12) & (col > 14),
    )
    write_partition(tmp_path / "qmap.hdf", partition)
    name = "synthetic_rigaku500k_f004096.bin"
    return shared_data / "formats" / name, tmp_path / "qmap.hdf"


def test_photon_events_have_the_correlation_they_were_made_with(rigaku):
    path, partition = rigaku
    config = AnalysisSettings(reduction=ReductionConfig(max_frames=1024))
    reading = FileReading(is_raw=True, partition=partition, frame_time=1e-4)
    analysis = analyse_file(path, load_model(), reading, config=config)
    assert analysis.recipe["reduction"]["engines"] == ["events"]
    lags, g2 = analysis.arrays["lags"], analysis.arrays["g2"][0]
    g2_err = analysis.arrays["g2_err"][0]

    # Pixels that differ in space raise the baseline, and the rest alike.
    is_late = lags >= 512
    baseline = np.average(g2[is_late], weights=g2_err[is_late] ** -2)
    assert baseline == pytest.approx(1.12, abs=0.05)
    is_early = lags < 16
    shape = 1 - lags[is_early] / 16
    contrast = (g2[is_early] / baseline - 1) @ shape / (shape @ shape)
    # 15 pairs of photons at each delay, of which 10 say something.
    assert contrast == pytest.approx(0.5, abs=0.3)
    is_middle = (lags >= 16) & (lags < 512)
    pull = (g2[is_middle] - baseline) / g2_err[is_middle]
    assert np.sqrt((pull**2).mean()) < 2


@pytest.mark.slow
def test_photon_events_are_classified_from_the_command_line(rigaku):
    path, partition = rigaku
    answer = ainerd("classify", "--raw", "--partition", partition, "--json", path)
    assert answer.returncode == 0, answer.stderr
    summary = json.loads(answer.stdout)
    assert summary["n_frames"] == 4096
    assert summary["quality"]["ok"]


def test_raw_frames_without_the_option_name_it(shared_data):
    answer = ainerd("classify", shared_data / "formats" / "synthetic_8idi" / RAW)
    assert answer.returncode == 1
    assert "--raw --partition" in answer.stderr


def test_server_of_another_layout_is_refused(tiled_server, shared_data):
    answer = ainerd(
        "ingest",
        shared_data / "chx_aging" / "two_time.npy",
        "--uri",
        f"{tiled_server.uri}/api/v1/metadata/raw",
        TILED_API_KEY=tiled_server.api_key,
    )
    assert answer.returncode == 1
    assert "ainerd serve" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_our_maps_of_raw_frames_give_the_g2_of_boost_corr(shared_data, ingest, results):
    folder = shared_data / "formats" / "synthetic_8idi"
    ingest("--raw", "--partition", folder / "qmap_S90_D9.hdf", folder / RAW)
    node = results[file_uid(folder / RAW)]
    lags, ours = node["lags"][:], node["g2"][:]
    with h5py.File(folder / RESULT) as file:
        their_lags = file["xpcs/multitau/delay_list"][:]
        theirs = file["xpcs/multitau/normalized_g2"][:].T
    both, index, their_index = np.intersect1d(lags, their_lags, return_indices=True)
    # They divide by the mean of each static ring, we by that of the whole bin.
    few = both < 200
    assert few.sum() > 10
    deviation = np.abs(ours[:, index] - theirs[:, their_index])[:, few]
    assert np.median(deviation) < 0.02


def test_second_time_changes_nothing(shared_data, ingest, results):
    path = shared_data / "formats" / "synthetic_8idi" / SELECTED
    ingest(path)
    before = results[file_uid(path)].metadata["published"]
    ingest(path)
    assert results[file_uid(path)].metadata["published"] == before


def test_damaged_file_is_named_and_the_rest_goes_on(
    shared_data, ingest, results, tmp_path
):
    damaged = tmp_path / "damaged_results.hdf"
    good = shared_data / "formats" / "synthetic_8idi" / SELECTED
    damaged.write_bytes(good.read_bytes()[:100_000])
    bare = tmp_path / "bare.npy"
    np.save(bare, np.load(shared_data / "chx_aging" / "two_time.npy"))
    answer = ingest(damaged, bare)
    assert answer.returncode == 1
    assert "damaged_results.hdf" in answer.stdout
    assert "1 labelled, 0 invalid, 1 not read" in answer.stdout
    assert "1 file tells no frame time" in answer.stdout
    assert results[file_uid(bare)].metadata["label"] == "aging"
    assert not [uid for uid in results if uid.startswith("damaged")]


def test_file_in_a_readable_folder_is_served_in_place(
    tiled_server, shared_data, ingest, results
):
    maps = np.load(shared_data / "chx_aging" / "two_time.npy").astype(np.float32)
    path = tiled_server.detector_folder / "served.npy"
    np.save(path, maps)
    assert ingest(path).returncode == 0
    source = results[file_uid(path)]["source"]
    assert np.array_equal(source[0], maps)


def test_file_in_another_folder_is_labelled_and_the_reason_said(
    shared_data, ingest, tmp_path
):
    path = tmp_path / "elsewhere.npy"
    np.save(path, np.load(shared_data / "chx_aging" / "two_time.npy")[:200, :200])
    answer = ingest(path)
    assert "1 labelled" in answer.stdout
    assert "--readable" in answer.stdout
