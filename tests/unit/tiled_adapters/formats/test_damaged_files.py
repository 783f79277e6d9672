"""Damaged files, by the thousand: a reader refuses them by name or reads them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ainerd_bluesky.errors import FileFormatError
from tests import damage, damaged_reader
from tests.damaged_reader import FORMATS

READER = Path(damaged_reader.__file__)
N_FEW = 3
N_MANY = 110
"""Files a format; 2,000 at least in all."""


def read_damaged(kinds, n_files, folder):
    """Return what became of the files; a crash, hang or blow-up fails the test."""
    root = str(READER.parents[1])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", READER, str(n_files), folder, *kinds],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"},
    )
    last = folder / "last.txt"
    where = last.read_text() if last.exists() else "before the first"
    assert done.returncode == 0, f"{where}\n{done.stderr[-3000:]}"
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_few_damaged_files_of_every_format(tmp_path):
    outcomes = read_damaged(FORMATS, N_FEW, tmp_path)
    assert [outcome["kind"] for outcome in outcomes] == list(FORMATS)
    assert sum(outcome["refused"] for outcome in outcomes) > len(FORMATS)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
def test_many_damaged_files_of_a_format(tmp_path, kind):
    (outcome,) = read_damaged([kind], N_MANY, tmp_path)
    assert outcome["read"] > 0, "the damage never leaves a readable file: too coarse"
    assert outcome["refused"] > 0, "the damage never does any harm: too fine"


def test_two_thousand_files_are_damaged():
    assert N_MANY * len(FORMATS) >= 2000


@pytest.mark.parametrize(
    ("values", "refusal", "message"),
    [
        (np.full(3, damage.SECRET), None, "foreign values"),
        ({"sample": f"secret {damage.SECRET}"}, None, "foreign metadata"),
        ({"frame_time": float(damage.SECRET)}, None, "foreign metadata"),
        ({"sample": "x" * 10**6}, None, "bytes of metadata"),
        (None, FileFormatError("something is damaged"), "names no file"),
    ],
    ids=["reads-outside", "tells-text", "tells-number", "tells-all", "names-no-file"],
)
def test_a_bad_reader_would_be_noticed(tmp_path, values, refusal, message):
    def read(path):
        if refusal is not None:
            raise refusal
        return [values]

    (tmp_path / "x.h5").touch()
    with pytest.raises(AssertionError, match=message):
        damaged_reader.check(tmp_path / "x.h5", read, is_foreign=True)
