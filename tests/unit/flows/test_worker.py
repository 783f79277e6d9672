import threading
import time

import pytest

from ainerd_bluesky.callbacks.outbox import Outbox
from ainerd_bluesky.errors import CatalogError, RunNotReadyError
from flows.worker import Worker


class Runner:
    """Does what it is told to do next; then works."""

    def __init__(self, *orders):
        self.orders = list(orders)
        self.done = []

    def prepare(self):
        if self.orders and isinstance(self.orders[0], CatalogError):
            raise self.orders.pop(0)

    def run(self, job):
        if self.orders:
            raise self.orders.pop(0)
        self.done.append(job.run_uid)
        return {"label": "aging"}


@pytest.fixture
def outbox(tmp_path):
    return Outbox(tmp_path, backoff=(0, 0))


def fill(outbox, n_jobs):
    for n in range(n_jobs):
        outbox.put(f"run-{n}", {})


def test_all_jobs_are_done_in_order(outbox):
    fill(outbox, 3)
    runner = Runner()
    Worker(outbox, runner).drain()
    assert runner.done == ["run-0", "run-1", "run-2"]
    assert outbox.job("run-0").log[-1]["label"] == "aging"


@pytest.mark.parametrize(
    "error", [ValueError("odd"), MemoryError(), ZeroDivisionError(), AssertionError()]
)
def test_a_job_that_cannot_work_is_failed_and_the_others_go_on(outbox, error):
    fill(outbox, 2)
    Worker(outbox, Runner(error)).drain()
    assert outbox.state("run-0") == "failed"
    assert type(error).__name__ in outbox.job("run-0").log[-1]["reason"]
    assert outbox.state("run-1") == "done"


@pytest.mark.parametrize(
    "error", [RunNotReadyError("not yet"), ConnectionResetError(), TimeoutError()]
)
def test_a_job_that_may_work_later_is_tried_again(outbox, error):
    fill(outbox, 1)
    Worker(outbox, Runner(error)).drain()
    assert outbox.state("run-0") == "done"
    assert outbox.job("run-0").attempts == 1


def test_a_disk_without_space_does_not_end_the_worker(outbox, monkeypatch, caplog):
    def refuse(job, **information):
        raise OSError(28, "No space left on device")

    fill(outbox, 2)
    runner = Runner()
    worker = Worker(outbox, runner)
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "done", refuse)
        assert not worker.step()
    assert "No space left on device" in caplog.text
    assert worker.step()
    assert outbox.state("run-1") == "done"


def test_a_job_that_waits_for_its_time_costs_nothing(tmp_path):
    outbox, runner = Outbox(tmp_path, backoff=(60,)), Runner(TimeoutError())
    fill(outbox, 1)
    worker = Worker(outbox, runner)
    assert worker.step()
    runner.orders = [CatalogError("was asked")]
    assert not worker.step()
    assert runner.orders


def test_without_a_server_no_job_is_taken(outbox):
    fill(outbox, 1)
    worker = Worker(outbox, Runner(CatalogError("away")))
    assert not worker.step()
    assert outbox.job("run-0").attempts == 0
    assert worker.step()


def test_housekeeping_that_fails_does_not_stop_the_jobs(outbox, caplog):
    def break_down():
        raise RuntimeError("backup folder is odd")

    fill(outbox, 1)
    Worker(outbox, Runner(), housekeeping=break_down).drain()
    assert outbox.state("run-0") == "done"
    assert "backup folder is odd" in caplog.text


def test_jobs_wait_for_housekeeping_that_needs_the_server(outbox):
    answers = [CatalogError("away"), None]

    def replay():
        if answer := answers.pop(0):
            raise answer

    fill(outbox, 1)
    worker = Worker(outbox, Runner(), housekeeping=replay)
    assert not worker.step()
    assert worker.step()


def test_two_workers_share_an_outbox(outbox):
    fill(outbox, 40)
    runners = [Runner(), Runner()]
    threads = [
        threading.Thread(target=Worker(outbox, runner).drain) for runner in runners
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(runners[0].done + runners[1].done) == sorted(
        f"run-{n}" for n in range(40)
    )


def test_it_works_until_it_is_over_and_then_finishes_what_is_due(outbox):
    is_over, runner = threading.Event(), Runner()
    thread = threading.Thread(target=Worker(outbox, runner).run, args=(is_over,))
    thread.start()
    fill(outbox, 1)
    while outbox.state("run-0") != "done":
        time.sleep(0.01)
    is_over.set()
    thread.join(5)
    assert not thread.is_alive()
