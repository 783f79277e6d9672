"""One holder at a time."""

import os
import subprocess
import sys

import pytest

from ainerd_bluesky.errors import ConfigError, StateInUseError
from ainerd_bluesky.selection.locking import lock_state

HOLD = """
import pathlib, sys, time
from ainerd_bluesky.selection.locking import lock_state
with lock_state(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_state_has_one_holder_until_that_dies(tmp_path):
    path = tmp_path / "night.json"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        told = rf"night\.json is in use: process {other.pid} on .* name another file"
        with pytest.raises(StateInUseError, match=told), lock_state(path):
            pass
        other.kill()
    with lock_state(path):
        pass


def test_the_same_process_is_told_as_well(tmp_path):
    path = tmp_path / "night.json"
    with (
        lock_state(path),
        pytest.raises(StateInUseError, match=f"process {os.getpid()} on"),
        lock_state(path),
    ):
        pass


def test_another_file_is_free(tmp_path):
    with lock_state(tmp_path / "a.json"), lock_state(tmp_path / "b.json"):
        pass


def test_what_goes_wrong_while_it_is_held_is_passed_on(tmp_path):
    path = tmp_path / "night.json"
    with pytest.raises(KeyError), lock_state(path):
        raise KeyError("other")
    with lock_state(path):
        pass


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with (
        pytest.raises(ConfigError, match="cannot be locked"),
        lock_state(tmp_path / "gone" / "night.json"),
    ):
        pass
