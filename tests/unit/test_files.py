"""Files that are there whole or not at all."""

import subprocess
import sys

import pytest

from ainerd_bluesky.files import replaced

BREAK_OFF = """
import os, pathlib, signal, sys
from ainerd_bluesky.files import replaced
with replaced(pathlib.Path(sys.argv[1])) as draft:
    draft.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder):
    return [path.name for path in folder.iterdir()]


def broken_off(path):
    with replaced(path) as draft:
        draft.write_text("half")
        raise KeyError("other")


def test_the_new_file_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "facts.txt"
    path.write_text("old")
    with replaced(path) as draft:
        draft.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["facts.txt"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "facts.txt"
    path.write_text("old")
    with pytest.raises(KeyError, match="other"):
        broken_off(path)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["facts.txt"]


def test_a_kill_leaves_the_old_file(tmp_path):
    path = tmp_path / "facts.txt"
    path.write_text("old")
    killed = subprocess.run([sys.executable, "-c", BREAK_OFF, str(path)], check=False)
    assert killed.returncode < 0
    assert path.read_text() == "old"
