"""An agent goes on while servers come and go, and ends when told."""

import threading

import pytest

from ainerd_bluesky.agents import Pace, Report, run_agent
from ainerd_bluesky.errors import QueueError, QueueUnreachableError


class Script:
    """An agent that does what is written."""

    def __init__(self, *steps):
        self.steps = list(steps)

    def step(self):
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


class Wake(threading.Event):
    """Does not wait, but notes for how long it would."""

    def __init__(self):
        super().__init__()
        self.waits = []

    def wait(self, timeout=None):
        self.waits.append(timeout)
        return True


DONE = Report(is_finished=True)
AWAY = QueueUnreachableError("no queue server answers")


def play(*steps, stop_after=None):
    wake, reports = Wake(), []
    run_agent(
        Script(*steps),
        is_stopped=lambda: stop_after is not None and len(reports) >= stop_after,
        wake=wake,
        report=reports.append,
        pace=Pace(1.0, 4.0),
    )
    return reports, wake.waits


def test_it_goes_on_until_it_is_finished():
    reports, waits = play(Report(), Report(), DONE)
    assert len(reports) == 3
    assert waits == [1.0, 1.0]


def test_a_server_that_is_away_is_tried_less_and_less_often_and_that_is_said():
    reports, waits = play(AWAY, AWAY, AWAY, AWAY, Report(), AWAY, DONE)
    assert waits == [1.0, 2.0, 4.0, 4.0, 1.0, 1.0]
    assert reports[1].obstacle == "no queue server answers; next try in 2 s"


def test_it_ends_when_told():
    reports, waits = play(Report(), Report(), Report(), stop_after=2)
    assert (len(reports), len(waits)) == (2, 1)


def test_an_error_that_waiting_does_not_mend_ends_it():
    with pytest.raises(QueueError, match="3 items in a row"):
        play(Report(), QueueError("3 items in a row failed"))
