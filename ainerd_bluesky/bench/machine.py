"""What a benchmark ran on."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["describe_machine"]

_SOFTWARE = (
    "ainerd-bluesky", "numpy", "scipy", "torch", "numba", "h5py", "hdf5plugin",
    "boost-corr", "scikit-beam", "xpcs-correlator",
)  # fmt: skip


def describe_machine() -> dict[str, Any]:
    """Describe processor, memory, system and versions.

    Returns
    -------
    dict
        Plain values; a package that is not installed is not named.
    """
    return {
        "processor": _processor(),
        "n_cores": os.cpu_count(),
        "memory_mb": round(_memory_mb()),
        "system": platform.platform(),
        "python": platform.python_version(),
        "software": _versions(),
    }


def _processor() -> str:
    """Return the name of the processor with the fastest instructions it has."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    facts = {name.strip(): text.strip() for name, text in facts.items()}
    flags = facts.get("flags", facts.get("Features", "")).split()
    notable = [flag for flag in flags if "vnni" in flag or "amx" in flag]
    name = facts.get("model name", platform.machine())
    # Virtual machines hide the model's name, not its numbers.
    numbers = f"family {facts.get('cpu family', '?')} model {facts.get('model', '?')}"
    return " ".join([name, f"({numbers})", *notable])


def _memory_mb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6


def _versions() -> dict[str, str]:
    versions = {}
    for name in _SOFTWARE:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
