"""The registry of models: versions in a catalog, one of them in production."""

from pathlib import Path

from tiled.client.container import Container

from ainerd_bluesky.errors import ConfigError, ModelError
from tiled_adapters.catalog import create_container
from tiled_adapters.model_files import (
    check_card,
    is_intact,
    keep_bundle,
    read_bundle,
)
from tiled_adapters.model_nodes import (
    DECISIONS,
    add_decision,
    is_registered,
    keep_stages,
    read_state,
    read_weights,
    write_version,
)
from tiled_adapters.people import login_name
from tiled_adapters.publish import check_key
from tiled_adapters.stages import Decision, ModelState, ModelVersion, now

__all__ = ["ModelRegistry", "open_registry"]


class ModelRegistry:
    """Keeps models below a container: `NAME/VERSION` with the card and the weights.

    Every decision is a node of its own below `NAME/decisions`, numbered from 0, and
    the stages follow from all of them: none is lost, and since a promotion is one
    decision, a crash leaves the old version or the new one in production, never none.

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
        return self._state(name).versions

    def production(self, name: str) -> ModelVersion:
        """Return the version of a model that is in production.

        Parameters
        ----------
        name : str
            Of the model.

        Returns
        -------
        ModelVersion
            The only one; a `ModelError` if there is none, or no such model.
        """
        return _require_production(name, self._state(name))

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
        return self._state(name).version(version)

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
            If a model cannot begin in that stage or be called so, or there is no
            reason. A folder without a sound model, or a version that is taken by
            another one, is a `ModelError`.
        """
        _require_reason(why)
        if stage not in {"candidate", "production"}:
            raise ConfigError(
                f"a model begins as 'candidate' or 'production', not as {stage!r}"
            )
        card, weights = read_bundle(folder)
        name, version = str(card["name"]), str(card["version"])
        check_key(name)
        check_key(version)
        if version == DECISIONS:
            raise ConfigError(f"a version cannot be called {version!r}: rename it")

        decided_by = who or login_name()
        node = create_container(self._container, name)
        if not is_registered(node, card):
            registered = {"who": decided_by, "when": now(), "why": why}
            write_version(node, card, weights, registered)
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
            To be used from now on; if it is already, nothing is decided, and stages
            that a crash has left behind are brought up to date.
        who : str
            Who decides so.
        why : str
            Reason in plain words; a `ConfigError` if it is empty.

        Returns
        -------
        ModelVersion
            Now in production; a `ModelError` if it is not there.
        """
        _require_reason(why)
        state = self._state(name)
        if state.version(version) is state.production:
            return keep_stages(self._node(name)).version(version)
        return self._decide(name, Decision(version, "promote", who, now(), why))

    def rollback(self, name: str, who: str, why: str) -> ModelVersion:
        """Bring back the version that was in production before the present one.

        One that somebody retired since is left out.

        Parameters
        ----------
        name : str
            Of the model.
        who : str
            Who decides so.
        why : str
            Reason in plain words; a `ConfigError` if it is empty.

        Returns
        -------
        ModelVersion
            Now in production again; once more goes back one version further.

        Raises
        ------
        ModelError
            If none is in production, or none was before.
        """
        _require_reason(why)
        state = self._state(name)
        current, before = _require_production(name, state), state.before
        if before is None:
            raise ModelError(
                f"{name} {current.version} took the place of no version that is still "
                f"to be used: there is nothing to go back to; `ainerd model list "
                f"{name}` shows what could be promoted"
            )
        decision = Decision(before.version, "rollback", who, now(), why)
        return self._decide(name, decision)

    def retire(self, name: str, version: str, who: str, why: str) -> ModelVersion:
        """Say that a version is not to be used any more, and no rollback finds it.

        Parameters
        ----------
        name : str
            Of the model.
        version : str
            Not the one in production.
        who : str
            Who decides so.
        why : str
            Reason in plain words; a `ConfigError` if it is empty.

        Returns
        -------
        ModelVersion
            Now retired; of one that was already the reason is kept as well.

        Raises
        ------
        ModelError
            If it is in production, or not there.
        """
        _require_reason(why)
        if self.version(name, version).stage == "production":
            raise ModelError(
                f"{name} {version} is in production: promote another version, or "
                f"`ainerd model rollback {name}`, and it is retired"
            )
        return self._decide(name, Decision(version, "retire", who, now(), why))

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
        folder = Path(cache) / name / label
        try:
            check_card(chosen.card, name, chosen.version)
            check_key(label)
            if not is_intact(folder, chosen.card):
                weights = read_weights(self._node(name), chosen)
                keep_bundle(chosen.card, weights, folder)
        except (ModelError, ConfigError, KeyError) as error:
            raise ModelError(
                f"{name} {chosen.version} of {self._container.uri} cannot be used: "
                f"{error}; go back with `ainerd model rollback {name}`"
            ) from error
        return folder

    def _state(self, name: str) -> ModelState:
        return read_state(self._node(name))

    def _decide(self, name: str, decision: Decision) -> ModelVersion:
        node = self._node(name)
        add_decision(node, decision)
        return keep_stages(node).version(decision.version)

    def _node(self, name: str) -> Container:
        check_key(name)
        try:
            return self._container[name]
        except KeyError as error:
            known = ", ".join(self.names()) or "none"
            raise ModelError(
                f"no model {name!r} at {self._container.uri} (there: {known}); add one "
                "with `ainerd model register FOLDER`"
            ) from error


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


def _require_reason(why: str) -> None:
    if not why.strip():
        raise ConfigError(f"why must hold a reason, got {why!r}: the history keeps it")


def _require_production(name: str, state: ModelState) -> ModelVersion:
    if state.production is None:
        raise ModelError(
            f"no version of {name!r} is in production, only {state.describe()}; "
            f"choose one with `ainerd model promote {name} VERSION`"
        )
    return state.production
