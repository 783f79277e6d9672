"""Every job that is measured, on a case that takes no time."""

import warnings
from time import process_time

import numpy as np
import pytest

from ainerd_bluesky.bench.cases import Case, make_data, small
from ainerd_bluesky.bench.comparisons import COMPARISONS
from ainerd_bluesky.bench.job import Job, run_job
from ainerd_bluesky.bench.jobs import JOBS
from ainerd_bluesky.bench.own_dense import block_means
from ainerd_bluesky.bench.peers import find_peers

SERIES = Case("series", 600, 900, 2, 0.5)
PHOTONS = Case("photons", 600, 900, 2, 0.01, "photons")
FILE = Case("file", 4, 1030 * 1065, 1, 0.05, "file")
NEEDS_TORCH = ("two-time", "int8 peak", "streaming", "frames to label")


def figures_of(name, case, folder):
    for data in (case, small(case)):
        make_data(data, folder)
    return run_job(JOBS[name], case, folder)


@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("two-time frame", SERIES),
        ("two-time static", SERIES),
        ("two-time static-frame", SERIES),
        ("multi-tau", SERIES),
        ("thumbnails", SERIES),
        ("streaming", SERIES),
        ("long scan", SERIES),
        ("frames to label", SERIES),
        ("events g2", PHOTONS),
        ("events maps", PHOTONS),
        ("decode", FILE),
    ],
)
def test_own_job_works_and_agrees(name, case, tmp_path):
    if name.startswith(NEEDS_TORCH):
        pytest.importorskip("torch")
    figures = figures_of(name, case, tmp_path)
    assert figures.cpu_seconds > 0
    assert all(found <= 1e-6 for found in figures.checks.values()), figures.checks


@pytest.mark.parametrize(
    ("package", "name", "case", "tolerance"),
    [
        ("boost_corr", "boost two-time dqmap", SERIES, 1e-5),
        ("boost_corr", "boost two-time sqmap", SERIES, 1e-5),
        # Its products are in bfloat16.
        ("boost_corr", "boost multi-tau", SERIES, 1e-2),
        ("skbeam", "skbeam multi-tau", SERIES, 1e-9),
    ],
)
def test_peer_agrees(package, name, case, tolerance, tmp_path):
    pytest.importorskip(package)
    figures = figures_of(name, case, tmp_path)
    assert figures.checks
    assert all(found <= tolerance for found in figures.checks.values()), figures.checks


@pytest.mark.slow
def test_events_of_xpcs_correlator_agree(tmp_path):
    pytest.importorskip("xpcscorr")
    with warnings.catch_warnings():
        # It divides by zero where a delay has no photons, and says so.
        warnings.simplefilter("ignore")
        figures = figures_of("xpcscorr events g2", PHOTONS, tmp_path)
    assert figures.checks["g2"] < 1e-9


def test_every_line_of_the_table_has_its_jobs():
    wanted = {line.job for line in COMPARISONS} | {
        line.peer_job for line in COMPARISONS
    }
    assert wanted - {""} == set(JOBS)


def test_every_peer_of_the_table_can_be_installed():
    peers = find_peers()
    for line in COMPARISONS:
        assert not line.peer or peers[line.peer].how_to_install.startswith(
            "pip install"
        )


def test_job_warms_up_on_the_small_case_and_tells_what_it_found(tmp_path):
    seen = []
    job = Job(
        work=lambda case: seen.append(case) or 42,
        load=lambda case, _folder: case,
        describe=lambda case, result: {"values": {"answer": result}},
    )
    figures = run_job(job, SERIES, tmp_path)
    assert seen == [small(SERIES), SERIES]
    assert figures.values == {"answer": 42}


def test_short_job_is_done_until_enough_time_is_spent(tmp_path):
    rounds = []

    def spin(_case):
        end = process_time() + 0.02
        while process_time() < end:
            pass
        rounds.append(end)

    job = Job(work=spin, load=lambda case, _folder: case)
    figures = run_job(job, SERIES, tmp_path, seconds=0.1)
    # One more on the small case, to warm up; a round takes 0.02 s at least.
    assert 3 <= len(rounds) <= 6
    assert 0.02 <= figures.cpu_seconds < 0.1


def test_block_means_are_those_of_array_split(rng):
    two_time = rng.random((300, 300))
    blocks = np.array_split(np.arange(300), 256)
    expected = two_time[np.ix_(blocks[3], blocks[200])].mean()
    assert block_means(two_time)[3, 200] == pytest.approx(expected)
