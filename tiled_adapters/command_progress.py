"""What commands have in common that take long and write files."""

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress as Bars
from rich.progress import TaskID

from ainerd_bluesky.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tiled_adapters.summaries import Progress

__all__ = ["progress_bar", "require_free", "require_writable", "stage_bars"]


@contextmanager
def progress_bar(what: str) -> "Iterator[Progress]":
    """Show a bar on a terminal, from the first report on.

    Parameters
    ----------
    what : str
        Stands before the bar.

    Yields
    ------
    callable
        To be told how many are done, and of how many.
    """
    with Bars(console=Console(stderr=True, emoji=False), transient=True) as bars:
        tasks: list[TaskID] = []

        def report(n_done: int, n_total: int) -> None:
            if not tasks:
                tasks.append(bars.add_task(what))
            bars.update(tasks[0], completed=n_done, total=n_total)

        yield report


@contextmanager
def stage_bars() -> "Iterator[Callable[[str, int, int], None]]":
    """Show one bar for each stage of a long computation.

    Yields
    ------
    callable
        To be told the name of the stage, how many steps are done, and of how many.
    """
    with Bars(console=Console(stderr=True, emoji=False)) as bars:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, n_done: int, n_total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage)
            bars.update(tasks[stage], completed=n_done, total=n_total)

        yield report


def require_writable(path: Path) -> None:
    """Refuse a file that could not be written, before anything is computed.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    ConfigError
        If its folder is missing or closed, or it is a folder itself.
    """
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise ConfigError(f"cannot write {path}: no such folder, or a folder itself")


def require_free(
    path: Path, *, inputs: "Iterable[Path | None]" = (), is_forced: bool
) -> None:
    """Refuse to write in place of a file: it may be the only copy of raw data.

    Parameters
    ----------
    path : Path
        The file to write.
    inputs : iterable of Path or None
        Files that are read; None is for one that was not given.
    is_forced : bool
        Whether a person agreed that the file is replaced.

    Raises
    ------
    ConfigError
        If it is one of the inputs, under whatever name, or there and not forced.
    """
    if not path.exists():
        return
    for given in inputs:
        if given is not None and given.exists() and path.samefile(given):
            raise ConfigError(f"{path} is read as {given}: write to another file")
    if not is_forced:
        raise ConfigError(
            f"{path} is there already: write to another file, or give --force to "
            "replace it"
        )
