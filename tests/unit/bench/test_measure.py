"""CPU time and memory of a piece of work."""

import time

import numpy as np
import pytest

from ainerd_bluesky.bench.measure import measure


def test_work_costs_cpu_time_and_sleep_does_not():
    def spin():
        end = time.process_time() + 0.1
        while time.process_time() < end:
            pass

    assert measure(spin).cost.cpu_seconds == pytest.approx(0.1, abs=0.05)
    asleep = measure(lambda: time.sleep(0.1)).cost
    assert asleep.cpu_seconds < 0.05
    assert asleep.wall_seconds >= 0.1


def test_result_is_handed_on():
    assert measure(lambda: 42).result == 42


def test_memory_that_is_given_back_is_seen_and_counts_for_one_call_only():
    def use(n_megabytes):
        return lambda: np.ones(n_megabytes * 1_000_000, np.uint8).sum()

    assert measure(use(300)).cost.peak_mb == pytest.approx(300, abs=40)
    assert measure(use(100)).cost.peak_mb == pytest.approx(100, abs=40)
