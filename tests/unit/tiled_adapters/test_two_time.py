import threading

import numpy as np
import pytest

from tiled_adapters.two_time import MapCache


def test_map_is_computed_once_for_many_readers():
    calls, barrier = [], threading.Barrier(4)
    release = threading.Event()

    def compute():
        calls.append(1)
        release.wait(5)
        return np.ones((2, 2), np.float32)

    cache, maps = MapCache(1000), []

    def read():
        barrier.wait()
        maps.append(cache.get("key", compute))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    release.set()
    for thread in threads:
        thread.join()
    assert (len(calls), len(maps)) == (1, 4)


def test_failure_is_not_kept():
    cache = MapCache(1000)

    def fail():
        raise OSError("not yet")

    with pytest.raises(OSError, match="not yet"):
        cache.get("key", fail)
    assert cache.get("key", lambda: np.ones(1, np.float32)).sum() == 1


def test_oldest_maps_go_when_memory_is_full():
    cache, calls = MapCache(250), []

    def compute():
        calls.append(1)
        return np.zeros(25, np.float32)  # 100 bytes

    for key in ("a", "b", "a", "c", "a", "b"):
        cache.get(key, compute)
    assert len(calls) == 4  # a, b, c, and b again: a was asked for in between


def test_map_larger_than_the_memory_is_still_given():
    assert MapCache(1).get("key", lambda: np.ones(9, np.float32)).sum() == 9
