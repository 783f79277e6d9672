import os
import sys
import time

import pytest

from ainerd_bluesky.callbacks import process
from ainerd_bluesky.callbacks.process import WorkerProcess

UNTIL_EOF = "import sys; sys.stdin.read(); print('drained')"
CRASH = "import sys; print('no torch'); sys.exit(3)"


@pytest.fixture
def start(tmp_path):
    started = []

    def start(code):
        command = [sys.executable, "-c", code]
        worker = WorkerProcess(command, os.environ, tmp_path / "worker.log")
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.close(10)


def test_it_ends_after_its_work_when_stdin_closes(start, tmp_path):
    worker = start(UNTIL_EOF)
    assert not worker.close(0.0)
    assert worker.close(10.0)
    assert (tmp_path / "worker.log").read_text() == "drained\n"


def test_it_has_a_process_group_of_its_own(start):
    worker = start(UNTIL_EOF)
    assert os.getpgid(worker.pid) != os.getpgid(os.getpid())


def test_a_living_one_is_left_alone(start):
    worker = start(UNTIL_EOF)
    pid = worker.pid
    worker.ensure()
    assert worker.pid == pid


def test_a_crashed_one_is_started_again_a_few_times(start, caplog, monkeypatch):
    monkeypatch.setattr(process, "_PAUSE", 0.0)
    worker = start(CRASH)
    pids = set()
    for _ in range(40):
        worker.ensure()
        pids.add(worker.pid)
        time.sleep(0.05)
    assert len(pids) == 4
    assert "ended with 3 (no torch), starting it again" in caplog.text
    assert caplog.text.count("giving up; runs stay in the outbox") == 1


def test_one_that_was_healthy_for_a_while_is_always_started_again(
    start, caplog, monkeypatch
):
    monkeypatch.setattr(process, "_PAUSE", 0.0)
    monkeypatch.setattr(process, "_HEALTHY", 0.0)
    worker = start(CRASH)
    pids, deadline = set(), time.monotonic() + 60
    while len(pids) < 7:
        assert time.monotonic() < deadline
        worker.ensure()
        pids.add(worker.pid)
        time.sleep(0.02)
    assert "giving up" not in caplog.text
