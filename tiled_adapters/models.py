"""The registry of models: versions in a catalog, one of them in production."""

import getpass
from pathlib import Path

from tiled.client.container import Container

from ainerd_bluesky.errors import ConfigError, ModelError
from tiled_adapters.catalog import create_container
from tiled_adapters.model_files import is_intact, keep_bundle, read_bundle
from tiled_adapters.model_nodes import (
    append_change,
    is_registered,
    read_versions,
    read_weights,
    write_version,
)
from tiled_adapters.publish import check_key
from tiled_adapters.stages import (
    ModelVersion,
    StageChange,
    describe_stages,
    in_production,
    next_time,
    pick_version,
    settle,
)

__all__ = ["ModelRegistry", "login_name", "open_registry"]


class ModelRegistry:
    """Keeps models below a container: `NAME/VERSION` with the card and the weights.

    Every change of stage is appended to the version's history. A version comes into
    production before the former one is retired, and of two in production the one that
    came last counts: a crash in between leaves the old or the new one, never none.

    Parameters
    ----------
    container : Container
        `/processed/models` of a server.
    """

    def __init__(self, container: Container) -> None:
        self._container = container

    def names(self) -> list[str]:
        """Return the names of all models, sorted."""
        return sorted(self._container)

    def versions(self, name: str) -> tuple[ModelVersion, ...]:
        """List the versions of a model.

        Parameters
        ----------
        name : str
            Of the model.

        Returns
        -------
        tuple of ModelVersion
            As they were registered; at most one is in production.
        """
        return settle(read_versions(self._node(name)))

    def production(self, name: str) -> ModelVersion:
        """Return the version of a model that is in production.

        Parameters
        ----------
        name : str
            Of the model.

        Returns
        -------
        ModelVersion
            The only one.

        Raises
        ------
        ModelError
            If there is none, or no such model.
        """
        versions = self.versions(name)
        current = in_production(versions)
        if current is None:
            raise ModelError(
                f"no version of {name!r} is in production, only "
                f"{describe_stages(versions)}; choose one with "
                f"`ainerd model promote {name} VERSION`"
            )
        return current

    def version(self, name: str, version: str | None = None) -> ModelVersion:
        """Return one version of a model.

        Parameters
        ----------
        name : str
            Of the model.
        version : str, optional
            Whatever its stage; unset: the one in production.

        Returns
        -------
        ModelVersion
            A `ModelError` if it is not there.
        """
        if version is None:
            return self.production(name)
        return pick_version(self.versions(name), name, version)

    def register(
        self,
        folder: str | Path,
        stage: str = "candidate",
        *,
        who: str | None = None,
        why: str = "registered",
    ) -> ModelVersion:
        """Add the model of a folder; the same one a second time changes nothing.

        Parameters
        ----------
        folder : str or Path
            Folder of one model, or ``"shipped"``.
        stage : str
            `candidate`, or `production` to promote it as well.
        who : str, optional
            Who registers it; unset: the login name.
        why : str
            Reason in plain words.

        Returns
        -------
        ModelVersion
            As it is registered now.

        Raises
        ------
        ConfigError
            If a model cannot begin in that stage. A folder without a sound model, or
            a version that is taken by another one, is a `ModelError`.
        """
        if stage not in {"candidate", "production"}:
            raise ConfigError(
                f"a model begins as 'candidate' or 'production', not as {stage!r}"
            )
        card, weights = read_bundle(folder)
        name, version = str(card["name"]), str(card["version"])
        check_key(name)
        check_key(version)

        decided_by = who or login_name()
        node = create_container(self._container, name)
        if not is_registered(node, card):
            when = next_time(read_versions(node))
            change = StageChange("candidate", decided_by, when, why)
            write_version(node, card, weights, change)
        if stage == "production":
            return self.promote(name, version, decided_by, why)
        return self.version(name, version)

    def promote(self, name: str, version: str, who: str, why: str) -> ModelVersion:
        """Put a version into production, and retire the one that was.

        Parameters
        ----------
        name : str
            Of the model.
        version : str
            To be used from now on; nothing changes if it is already.
        who : str
            Who decides so.
        why : str
            Reason in plain words.

        Returns
        -------
        ModelVersion
            Now in production; a `ModelError` if it is not there.
        """
        versions = self.versions(name)
        chosen, current = pick_version(versions, name, version), in_production(versions)
        if chosen is current:
            return chosen
        replaces = None if current is None else current.version
        return self._produce(chosen, who, why, replaces)

    def rollback(self, name: str, who: str, why: str) -> ModelVersion:
        """Bring back the version that was in production before the present one.

        Parameters
        ----------
        name : str
            Of the model.
        who : str
            Who decides so.
        why : str
            Reason in plain words.

        Returns
        -------
        ModelVersion
            Now in production again; once more goes back one version further.

        Raises
        ------
        ModelError
            If none is in production, or none was before.
        """
        current = self.production(name)
        if current.replaced is None:
            raise ModelError(
                f"{name} {current.version} took the place of no other version: there "
                f"is nothing to go back to; `ainerd model list {name}` shows what "
                "could be promoted"
            )
        before = self.version(name, current.replaced)
        return self._produce(before, who, why, before.replaced)

    def retire(self, name: str, version: str, who: str, why: str) -> ModelVersion:
        """Say that a version is not to be used any more.

        Parameters
        ----------
        name : str
            Of the model.
        version : str
            Not the one in production.
        who : str
            Who decides so.
        why : str
            Reason in plain words.

        Returns
        -------
        ModelVersion
            Now retired.

        Raises
        ------
        ModelError
            If it is in production, or not there.
        """
        versions = self.versions(name)
        chosen = pick_version(versions, name, version)
        if chosen.stage == "production":
            raise ModelError(
                f"{name} {version} is in production: promote another version, or "
                f"`ainerd model rollback {name}`, and it is retired"
            )
        if chosen.stage != "retired":
            change = StageChange("retired", who, next_time(versions), why)
            append_change(self._node(name), version, change)
        return self.version(name, version)

    def fetch(
        self, name: str, version: str | None = None, cache: str | Path = "models"
    ) -> Path:
        """Copy a model to this machine, unless it is there already.

        Parameters
        ----------
        name : str
            Of the model.
        version : str, optional
            Unset: the one in production.
        cache : str or Path
            Folder for all models; made if it is missing.

        Returns
        -------
        Path
            Folder that `load_model` loads, `CACHE/NAME/VERSION-SHA256`.

        Raises
        ------
        ModelError
            If it is not there, of an unknown format, or not what its card says.
        """
        chosen = self.version(name, version)
        label = f"{chosen.version}-{chosen.sha256[:12]}"
        for key in (name, label):
            check_key(key)
        folder = Path(cache) / name / label
        try:
            if not is_intact(folder, chosen.card):
                weights = read_weights(self._node(name), chosen)
                keep_bundle(chosen.card, weights, folder)
        except (ModelError, KeyError) as error:
            raise ModelError(
                f"{name} {chosen.version} of {self._container.uri} cannot be used: "
                f"{error}; go back with `ainerd model rollback {name}`"
            ) from error
        return folder

    def _node(self, name: str) -> Container:
        try:
            return self._container[name]
        except KeyError as error:
            known = ", ".join(self.names()) or "none"
            raise ModelError(
                f"no model {name!r} at {self._container.uri} (there: {known}); add one "
                "with `ainerd model register FOLDER`"
            ) from error

    def _produce(
        self, chosen: ModelVersion, who: str, why: str, replaces: str | None
    ) -> ModelVersion:
        """Put a version into production first, then retire those that came earlier."""
        node = self._node(chosen.name)
        when = next_time(read_versions(node))
        promotion = StageChange("production", who, when, why, replaces)
        append_change(node, chosen.version, promotion)
        retirement = StageChange(
            "retired", who, when, f"replaced by {chosen.version}: {why}"
        )
        # As they are stored: a promotion that was cut short is made good here.
        for other in read_versions(node):
            if other.stage == "production" and other.since < when:
                append_change(node, other.version, retirement)
        return self.version(chosen.name, chosen.version)


def open_registry(root: Container, path: str = "processed/models") -> ModelRegistry:
    """Open the registry of a catalog.

    Parameters
    ----------
    root : Container
        Root of the catalog.
    path : str
        Of the container of models.

    Returns
    -------
    ModelRegistry
        Maybe without any model.

    Raises
    ------
    ConfigError
        If there is no such container.
    """
    try:
        return ModelRegistry(root[path])
    except KeyError as error:
        raise ConfigError(
            f"{root.uri} has no {path!r}: correct the path, or make it with "
            "`tiled_adapters.server.initialise`"
        ) from error


def login_name() -> str:
    """Return who is at work, as the machine knows."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # an account without a name, as containers have them
        return "unknown"
