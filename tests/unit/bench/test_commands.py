"""The command that measures."""

import json

import pytest
from typer.testing import CliRunner

from ainerd_bluesky.bench import correlator as bench
from ainerd_bluesky.bench.cases import CASES
from ainerd_bluesky.bench.commands import bench_app
from ainerd_bluesky.bench.correlator import Benchmark
from ainerd_bluesky.bench.measure import Figures
from ainerd_bluesky.bench.peers import Peer
from ainerd_bluesky.bench.rows import Row
from ainerd_bluesky.errors import ConfigError

LONG = Figures(values={"n_frames": [10, 20, 40], "seconds": [1.0, 2.1, 3.9]})


@pytest.fixture
def measured(monkeypatch):
    """Stand in for minutes of work; returns what was asked for."""
    asked = {}

    def measure(**options):
        asked.update(options)
        options["progress"]("A: own", 0, 1)
        row = Row("two-time", "A", "of peer", 0.2, value=0.5, peer="boost-corr")
        peers = {"boost-corr": Peer("boost-corr", "", "pip install boost-corr")}
        machine = {"processor": "some", "software": {}}
        runs = {("long scan", "long"): [LONG]}
        return Benchmark([row], runs, CASES, peers, machine)

    monkeypatch.setattr(bench, "bench_correlator", measure)
    return asked


def run(*arguments):
    return CliRunner().invoke(bench_app, ["correlator", *map(str, arguments)])


def test_cases_and_repeats_are_handed_on(measured):
    assert run("--cases", "A, C", "--quick", "--repeats", 2).exit_code == 0
    assert measured["cases"] == ["A", "C"]
    assert (measured["quick"], measured["n_repeats"]) == (True, 2)


def test_missed_target_is_said_and_fails_a_check_only(measured):
    answer = run()
    assert "0.5 of peer, target 0.2" in answer.output
    assert answer.exit_code == 0
    assert run("--check").exit_code == 1


def test_missing_peer_is_said_with_its_cure(measured):
    assert "pip install boost-corr" in run().output


def test_figures_are_written(measured, tmp_path):
    pytest.importorskip("matplotlib")
    run("--json", tmp_path / "x.json", "--figure", tmp_path / "x.png")
    written = json.loads((tmp_path / "x.json").read_text())
    assert written["rows"][0]["is_met"] is False
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--json", "no/where.json"], "no folder no to write where.json into"),
        (["--figure", "x.png", "--quick"], "the case long"),
        (["--figure", "x.png", "--cases", "A"], "the case long"),
    ],
    ids=["no folder", "quick", "other case"],
)
def test_what_could_not_be_written_is_refused_first(measured, arguments, message):
    answer = run(*arguments)
    assert isinstance(answer.exception, ConfigError)
    assert message in str(answer.exception)
    assert not measured
