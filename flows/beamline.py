"""Read the description of a beamline, whatever it is referred to by."""

from pathlib import Path

from pydantic import ValidationError

from ainerd_bluesky.config import BeamlineConfig, load_beamline
from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.profiles import beamline_path

__all__ = ["read_beamline"]


def read_beamline(reference: str | Path) -> BeamlineConfig:
    """Return the configuration of a beamline.

    Parameters
    ----------
    reference : str or Path
        Name of a beamline in the profiles, path of its TOML file, or path of the JSON
        file that `install` leaves in the outbox.

    Returns
    -------
    BeamlineConfig
        With absolute paths.

    Raises
    ------
    ConfigError
        If there is no such beamline, or its file cannot be used.
    """
    path = beamline_path(reference)
    if path.suffix != ".json":
        return load_beamline(path)
    try:
        return BeamlineConfig.model_validate_json(path.read_text())
    except (OSError, ValidationError) as error:
        raise ConfigError(f"cannot use beamline file {path}: {error}") from error
