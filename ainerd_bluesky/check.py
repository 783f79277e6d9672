"""What can be wrong with an installation, each finding with its cure."""

import os
import pkgutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import entry_points, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from ainerd_bluesky import ml
from ainerd_bluesky.config import BeamlineConfig, load_beamline
from ainerd_bluesky.errors import AinerdError, ModelError
from ainerd_bluesky.profiles import beamline_path

__all__ = ["Finding", "check_installation"]

_DISTRIBUTION = "ainerd-bluesky"
_PACKAGES = ("ainerd_bluesky", "tiled_adapters", "flows")
_CLIENT_SPECS = ("XPCSResultsCatalog", "XPCSResults", "XPCSResult", "XPCSTwoTime")
_EXTRAS = {
    "torch": "ml",
    "sklearn": "ml",
    "prefect": "flows",
    "tiled.server": "server",
    "matplotlib": "server",
}
_READ_PARTITION = "tiled_adapters.formats.qmap:read_partition"
_OPEN_CATALOG = "tiled_adapters.catalog:open_catalog"
_OPEN_REGISTRY = "tiled_adapters.models:open_registry"


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    level: Literal["ok", "warning", "error"]
    subject: str
    text: str
    """What was found and, unless it is well, the cure."""


def check_installation(
    beamline: str | None = None, *, api_key: str | None = None
) -> list[Finding]:
    """Look at names, plugins, extras, the model and, when named, a beamline.

    Parameters
    ----------
    beamline : str, optional
        Name of a beamline or path of its TOML file.
    api_key : str, optional
        Key for the beamline's Tiled server.

    Returns
    -------
    list of Finding
        In the order a person would mend them.
    """
    findings = [*_check_names(), *_check_plugins(), *_check_extras(), _check_model()]
    if beamline is not None:
        findings += _check_beamline(beamline, api_key)
    return findings


def _check_names() -> Iterator[Finding]:
    owners = packages_distributions()
    for package in _PACKAGES:
        # An editable install lists no owner for its packages: that is well.
        others = sorted(set(owners.get(package, [])) - {_DISTRIBUTION})
        if others:
            text = (
                f"also installed by {', '.join(others)}: uninstall it, or keep "
                f"{_DISTRIBUTION} in an environment of its own"
            )
            yield Finding("error", f"package {package}", text)
        else:
            yield Finding("ok", f"package {package}", f"{version(_DISTRIBUTION)}, ours")


def _check_plugins() -> Iterator[Finding]:
    registered = {entry.name for entry in entry_points(group="tiled.special_client")}
    missing = sorted(set(_CLIENT_SPECS) - registered)
    if missing:
        text = f"{', '.join(missing)} not registered: install {_DISTRIBUTION} again"
        yield Finding("error", "Tiled client classes", text)
    else:
        yield Finding("ok", "Tiled client classes", ", ".join(_CLIENT_SPECS))


def _check_extras() -> Iterator[Finding]:
    for module, extra in _EXTRAS.items():
        if _is_importable(module):
            yield Finding(
                "ok", f"module {module}", f"extra [{extra}]".replace("[", r"\[")
            )
        else:
            cure = f"pip install '{_DISTRIBUTION}[{extra}]'".replace("[", r"\[")
            yield Finding("warning", f"module {module}", f"not installed: {cure}")


def _is_importable(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _check_model(name: str = "shipped") -> Finding:
    try:
        model = ml.load_model(name)
    except (ModelError, ImportError) as error:
        return Finding("error", "model", str(error))
    text = f"{model.name} {model.version}, sha256 {model.sha256[:12]} as in its card"
    return Finding("ok", "model", text)


def _check_registered(
    config: BeamlineConfig, name: str, version: str | None, *, api_key: str | None
) -> Finding:
    """Look for the model of the registry that a beamline names."""
    subject = config.classification.model
    try:
        # By their names: Tiled's adapters are a layer above this one.
        open_catalog = pkgutil.resolve_name(_OPEN_CATALOG)
        open_registry = pkgutil.resolve_name(_OPEN_REGISTRY)
        catalog = open_catalog(config.catalog.uri, api_key=api_key)
        with closing(catalog.context):
            registry = open_registry(catalog, config.catalog.models)
            found = registry.version(name, version)
    except AinerdError as error:
        return Finding("error", subject, str(error))
    text = f"version {found.version}, {found.stage}, sha256 {found.sha256[:12]}"
    return Finding("ok", subject, text)


def _check_beamline(beamline: str, api_key: str | None) -> Iterator[Finding]:
    try:
        config = load_beamline(beamline_path(beamline))
    except AinerdError as error:
        yield Finding("error", f"beamline {beamline}", str(error))
        return
    yield Finding("ok", f"beamline {config.name}", f"field {config.detector.field}")
    if registered := config.classification.registered:
        yield _check_registered(config, *registered, api_key=api_key)
    elif config.classification.model != "shipped":
        yield _check_model(config.classification.model)
    yield _check_partition(config.partition.path)
    if not config.catalog.allowed_roots:
        text = "catalog.allowed_roots is empty: Tiled will refuse every detector file"
        yield Finding("error", "allowed root", text)
    for root in config.catalog.allowed_roots:
        yield _check_root(root)
    yield _check_outbox(config)
    yield _check_server(config, api_key)


def _check_root(root: Path) -> Finding:
    if root.is_dir():
        return Finding("ok", "allowed root", str(root))
    text = f"no folder {root}: mend catalog.allowed_roots"
    return Finding("error", "allowed root", text)


def _check_partition(path: Path) -> Finding:
    try:
        # By its name: the file formats are a layer above this one.
        partition = pkgutil.resolve_name(_READ_PARTITION)(path)
    except AinerdError as error:
        return Finding("error", "q-partition", f"{error}: mend the beamline file")
    text = f"{path}: {partition.n_q_bins} q-bins on {partition.shape} pixels"
    return Finding("ok", "q-partition", text)


def _check_outbox(config: BeamlineConfig) -> Finding:
    folder = config.flow.outbox
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if os.access(there, os.W_OK):
        return Finding("ok", "outbox", str(folder))
    text = f"{folder} cannot be written: mend flow.outbox"
    return Finding("error", "outbox", text)


def _check_server(config: BeamlineConfig, api_key: str | None) -> Finding:
    uri, path = config.catalog.uri, config.catalog.processed
    try:
        # By its name: Tiled's adapters are a layer above this one.
        catalog = pkgutil.resolve_name(_OPEN_CATALOG)(uri, api_key=api_key)
        n_runs = len(catalog[path])
    except AinerdError as error:
        return Finding("error", "Tiled server", str(error))
    except KeyError:
        text = f"{uri} has no {path}: mend [catalog], or run `ainerd serve`"
        return Finding("error", "Tiled server", text)
    return Finding("ok", "Tiled server", f"{uri} has {n_runs} runs in {path}")
