"""How much memory this machine has left, asked before it is taken."""

from pathlib import Path

from ainerd_bluesky.errors import MemoryBudgetError

__all__ = ["available_memory", "require_memory"]

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/proc/self/cgroup")
_CGROUP_ROOT = Path("/sys/fs/cgroup")
# A cgroup without a limit names almost 2^63, and one of version 2 the word.
_NO_LIMIT = 2**60
_MAX = str(2**63)
# What is left for everything else in the process.
_KEPT_FREE = 0.1


def available_memory() -> int | None:
    """Return how many bytes this process can still take.

    Returns
    -------
    int or None
        The least of what the machine has left and what the limit of the container
        leaves; None on a system that tells neither.
    """
    found = [_machine_memory(), *_container_memory()]
    known = [n_bytes for n_bytes in found if n_bytes is not None]
    return min(known, default=None)


def require_memory(n_bytes: int, what: str, cure: str) -> None:
    """Refuse what would not fit, before anything is allocated.

    Parameters
    ----------
    n_bytes : int
        Memory it takes.
    what : str
        Its name, for the message.
    cure : str
        What to do about it.

    Raises
    ------
    MemoryBudgetError
        If more than 90 % of the available memory would be taken.

    Examples
    --------
    >>> require_memory(10**18, "a map of 500 million frames", "bin the frames")
    Traceback (most recent call last):
    ainerd_bluesky.errors.MemoryBudgetError: a map of 500 million frames takes ...
    """
    available = available_memory()
    if available is not None and n_bytes > (1 - _KEPT_FREE) * available:
        raise MemoryBudgetError(
            f"{what} takes {n_bytes / 1e9:.1f} GB, and {available / 1e9:.1f} GB are "
            f"left: {cure}"
        )


def _machine_memory() -> int | None:
    try:
        lines = _MEMINFO.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    return None


def _container_memory() -> list[int | None]:
    """Return what the limits of the cgroup of this process and its parents leave."""
    try:
        entries = _CGROUP.read_text().splitlines()
    except OSError:
        return []
    found = []
    for entry in entries:
        _, controllers, path = entry.split(":", 2)
        if controllers == "":
            names, root = ("memory.max", "memory.current"), _CGROUP_ROOT
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
            root = _CGROUP_ROOT / "memory"
        else:
            continue
        folder = root / path.lstrip("/")
        # Inside a container the path is often that of the host: its root holds then.
        places = (folder, *folder.parents)
        found += [
            _left(place, *names) for place in places if root in (place, *place.parents)
        ]
    return found


def _left(folder: Path, limit_name: str, usage_name: str) -> int | None:
    try:
        limit = int((folder / limit_name).read_text().strip().replace("max", _MAX))
        usage = int((folder / usage_name).read_text())
        cached = _reclaimable(folder / "memory.stat")
    except (OSError, ValueError):
        return None
    return max(limit - usage + cached, 0) if limit < _NO_LIMIT else None


def _reclaimable(stat_path: Path) -> int:
    """Return pages of files, which count as used and give way when needed."""
    pairs = [line.split() for line in stat_path.read_text().splitlines()]
    values = {name: int(value) for name, value in pairs}
    return values.get("inactive_file", 0)
