"""What this machine has left, and refusals."""

import re

import pytest

from ainerd_bluesky.errors import MemoryBudgetError
from ainerd_bluesky.xpcs.machine import memory


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Write the files that the kernel shows, by path below the root."""
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_CGROUP_ROOT", tmp_path / "fs")

    def write(files):
        for path, text in files.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)

    return write


MEMINFO = {"meminfo": "MemTotal: 900 kB\nMemAvailable:     500 kB\n"}
VERSION_2 = {"cgroup": "0::/job/step\n"}
VERSION_1 = {"cgroup": "9:cpu:/x\n5:memory:/job\n"}


def version_2(folder, limit):
    return {
        f"{folder}/memory.max": limit,
        f"{folder}/memory.current": "90000",
        f"{folder}/memory.stat": "anon 60000\ninactive_file 30000\n",
    }


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        (MEMINFO, 512_000),
        (MEMINFO | VERSION_2, 512_000),
        (MEMINFO | VERSION_2 | version_2("fs/job/step", "max\n"), 512_000),
        (MEMINFO | VERSION_2 | version_2("fs/job/step", "100000\n"), 40_000),
        (MEMINFO | VERSION_2 | version_2("fs/job", "100000\n"), 40_000),
        (MEMINFO | VERSION_2 | version_2("fs", "100000\n"), 40_000),
        (MEMINFO | VERSION_2 | version_2("fs", "1000\n"), 0),
        (MEMINFO | VERSION_2 | version_2("fs", "nonsense"), 512_000),
        (
            MEMINFO
            | VERSION_1
            | {
                "fs/memory/job/memory.limit_in_bytes": "100000",
                "fs/memory/job/memory.usage_in_bytes": "70000",
                "fs/memory/job/memory.stat": "cache 5\n",
            },
            30_000,
        ),
        (
            MEMINFO
            | VERSION_1
            | {
                "fs/memory/memory.limit_in_bytes": "9223372036854771712",
                "fs/memory/memory.usage_in_bytes": "70000",
                "fs/memory/memory.stat": "cache 5\n",
            },
            512_000,
        ),
    ],
    ids=[
        "unknown",
        "machine",
        "no-files",
        "no-limit",
        "limit",
        "limit-of-parent",
        "limit-of-root",
        "limit-exceeded",
        "nonsense",
        "version-1",
        "version-1-no-limit",
    ],
)
def test_least_of_machine_and_container_is_left(machine, files, expected):
    machine(files)
    assert memory.available_memory() == expected


def test_this_machine_has_memory():
    available = memory.available_memory()
    assert available is None or available > 10**6


def test_what_does_not_fit_is_refused_with_a_cure(machine):
    machine(MEMINFO)
    message = "a map takes 0.0 GB, and 0.0 GB are left: bin it"
    with pytest.raises(MemoryBudgetError, match=re.escape(message)):
        memory.require_memory(470_000, "a map", "bin it")


@pytest.mark.parametrize("files", [{}, MEMINFO], ids=["unknown", "known"])
def test_what_fits_is_not_refused(machine, files):
    machine(files)
    memory.require_memory(450_000, "a map", "bin it")
