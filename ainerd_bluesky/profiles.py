"""Find what a beamline needs on disk, and hook it into a session's start-up."""

import os
import re
import sysconfig
from pathlib import Path

from ainerd_bluesky.config import load_beamline
from ainerd_bluesky.errors import ConfigError

__all__ = ["beamline_path", "find_profiles", "install_startup", "list_beamlines"]

_VARIABLE = "AINERD_PROFILES"
_STARTUP_NAME = "90-ainerd.py"
_TEMPLATE_NAME = "session.py"
_PLACEHOLDER = '"BEAMLINE"'


def find_profiles() -> Path:
    """Return the folder of profiles.

    Looked for in this order: the environment variable ``AINERD_PROFILES``, the
    checkout this package runs from, the data folder of the installation.

    Returns
    -------
    Path
        Folder with ``beamlines``, ``startup`` and ``tiled``.

    Raises
    ------
    ConfigError
        If there is none, or the variable names something else.
    """
    named = os.environ.get(_VARIABLE)
    if named:
        if not (Path(named) / "beamlines").is_dir():
            raise ConfigError(f"{_VARIABLE} is {named!r}: no folder with 'beamlines'")
        return Path(named).absolute()

    candidates = [
        Path(__file__).parents[1] / "profiles",
        Path(sysconfig.get_path("data")) / "share" / "ainerd-bluesky" / "profiles",
    ]
    for folder in candidates:
        if (folder / "beamlines").is_dir():
            return folder
    looked = " and ".join(map(str, candidates))
    raise ConfigError(f"no profiles in {looked}; set {_VARIABLE} to their folder")


def list_beamlines() -> list[str]:
    """Return the names of all beamlines in the profiles folder, sorted."""
    return sorted(path.stem for path in (find_profiles() / "beamlines").glob("*.toml"))


def beamline_path(beamline: str | Path) -> Path:
    """Return the file of a beamline.

    Parameters
    ----------
    beamline : str or Path
        Path of a TOML file, or name of a beamline in the profiles folder.

    Returns
    -------
    Path
        Absolute path of the TOML file.

    Raises
    ------
    ConfigError
        If there is no such file or name; the text lists the names there are.
    """
    path = Path(beamline).expanduser()
    if path.is_file():
        return path.absolute()
    is_name = re.fullmatch(r"[A-Za-z0-9_-]+", str(beamline)) is not None
    if is_name:
        named = find_profiles() / "beamlines" / f"{beamline}.toml"
        if named.is_file():
            return named
    raise ConfigError(
        f"no beamline {str(beamline)!r}: neither a file nor one of "
        f"{', '.join(list_beamlines())} in {find_profiles()}"
    )


def install_startup(
    beamline: str | Path,
    *,
    ipython_profile: str | None = None,
    startup_dir: Path | None = None,
    ipython_dir: Path | None = None,
    force: bool = False,
) -> Path:
    """Write the one start-up file that installs the callbacks in a session.

    Parameters
    ----------
    beamline : str or Path
        Name or TOML file of the beamline.
    ipython_profile : str, optional
        Name of the IPython profile whose start-up folder gets the file; made if
        needed.
    startup_dir : Path, optional
        Start-up folder itself, such as the one of a queue server.
    ipython_dir : Path, optional
        Where IPython keeps its profiles; unset: ``IPYTHONDIR`` or ``~/.ipython``.
    force : bool, optional
        Replace a file that was changed by hand.

    Returns
    -------
    Path
        The file, the same whether it was written now or before.

    Raises
    ------
    ConfigError
        If not exactly one of profile and folder is given, the beamline's file cannot
        be used, the folder is not there, or another file is in the way.
    """
    if (ipython_profile is None) == (startup_dir is None):
        raise ConfigError(
            "name either an IPython profile or a start-up folder, got "
            f"{ipython_profile!r} and {startup_dir!r}"
        )
    reference = _reference(beamline)
    load_beamline(beamline_path(beamline))  # a bad file would break each session
    folder = startup_dir or _ipython_startup(str(ipython_profile), ipython_dir)
    folder = Path(folder).expanduser().absolute()
    if startup_dir is not None and not folder.is_dir():
        raise ConfigError(f"no start-up folder {folder}: create it first")

    text = _template(reference).read_text().replace(_PLACEHOLDER, repr(reference))
    target = folder / _STARTUP_NAME
    if target.exists() and target.read_text() != text and not force:
        raise ConfigError(f"{target} exists and differs: use force to replace it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    except OSError as error:
        raise ConfigError(f"cannot write {target}: {error}") from error
    return target


def _template(reference: str) -> Path:
    """Return the beamline's own start-up file, or the one for every beamline."""
    folder = find_profiles() / "startup"
    own = folder / f"{Path(reference).name}.py"
    return own if own.is_file() else folder / _TEMPLATE_NAME


def _reference(beamline: str | Path) -> str:
    """Return what a session can find the beamline by, from whatever folder."""
    path = beamline_path(beamline)
    is_known = path.parent == find_profiles() / "beamlines"
    return path.stem if is_known else str(path)


def _ipython_startup(profile: str, ipython_dir: Path | None) -> Path:
    home = ipython_dir or os.environ.get("IPYTHONDIR") or Path.home() / ".ipython"
    return Path(home) / f"profile_{profile}" / "startup"
