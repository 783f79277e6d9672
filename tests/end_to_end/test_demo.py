"""The demonstration, run as a person runs it."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROW = {
    "sample", "truth", "uid", "label", "confidence", "relaxation_time",
    "seconds_to_label",
}  # fmt: skip


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """What the demonstration prints, its rows, and its folder."""
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "ainerd_bluesky", "demo", f"--folder={folder}"]
    answer = subprocess.run(
        [*command, f"--json={folder / 'rows.json'}"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "100"},
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    rows = json.loads((folder / "rows.json").read_text())
    return answer.stdout, rows, folder / "001"


def test_every_scan_has_a_row_with_its_label(shown):
    _, rows, _ = shown
    assert len(rows) == 16
    assert all(set(row) == ROW for row in rows)
    assert len({row["uid"] for row in rows}) == 16
    assert all(row["seconds_to_label"] > 0 for row in rows)


def test_first_samples_show_every_word_of_the_vocabulary(shown):
    _, rows, _ = shown
    assert len({row["truth"] for row in rows[:12]}) == 10


def test_most_labels_are_right(shown):
    _, rows, _ = shown
    assert sum(row["label"] == row["truth"] for row in rows) >= 14


def test_refused_scan_has_no_relaxation(shown):
    _, rows, _ = shown
    refused = [row for row in rows if row["label"] == "invalid"]
    assert refused
    assert all(row["relaxation_time"] is None for row in refused)


def test_selector_finds_what_it_looks_for(shown):
    text, rows, _ = shown
    assert text.count("next sample-") == 4
    # One sample in ten is of this kind; the ranges of composition overlap.
    assert sum(row["truth"] == "aging" for row in rows[12:]) >= 2


def test_truth_is_hidden_until_the_end(shown):
    text, _, _ = shown
    before, _, after = text.partition("the truth")
    assert "right" not in before
    assert "of 16 labels are right" in after


def test_another_process_reads_the_same_labels(shown):
    text, rows, _ = shown
    asked = text.partition("another process asks the server")[2]
    assert all(row["sample"] in asked for row in rows)


def test_picture_of_the_maps_is_saved(shown):
    _, _, place = shown
    assert (place / "two_time_maps.png").stat().st_size > 50_000
