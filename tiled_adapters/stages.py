"""Stages of the versions of a model: they follow from what people decided, in order."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self

from ainerd_bluesky.errors import ModelError
from tiled_adapters.specs import ACTIONS

__all__ = ["Decision", "ModelState", "ModelVersion", "StageChange", "now"]


@dataclass(frozen=True)
class Decision:
    """What somebody decided about a version.

    Parameters
    ----------
    version : str
        Name of the version.
    action : str
        `promote`, `rollback` (to this version) or `retire`.
    who : str
        Person or program that decided.
    when : str
        Time in UTC, ISO 8601 with microseconds.
    why : str
        Reason in plain words.
    """

    version: str
    action: str
    who: str
    when: str
    why: str

    @classmethod
    def from_json(cls, values: object) -> Self:
        """Read a decision as it is stored; a `ModelError` if it is none."""
        if not isinstance(values, Mapping) or values.get("action") not in ACTIONS:
            raise ModelError(f"a decision is one of {ACTIONS}, got {values!r}")
        return cls(**_texts(values, ("version", "action", "who", "when", "why")))


@dataclass(frozen=True)
class StageChange:
    """One step of a version's life.

    Parameters
    ----------
    stage : str
        `candidate`, `production` or `retired`.
    who : str
        Person or program that decided.
    when : str
        Time in UTC, ISO 8601 with microseconds.
    why : str
        Reason in plain words.
    """

    stage: str
    who: str
    when: str
    why: str


@dataclass(frozen=True)
class ModelVersion:
    """One version of a model, as the registry knows it.

    Parameters
    ----------
    name : str
        Name of the model.
    version : str
        Name of the version.
    stage : str
        Where it stands now.
    history : tuple of StageChange
        In the order in which it happened, at least its registration.
    card : mapping
        Card of the model: data, recipe, figures, limits, `sha256`, `format_version`.
    n_bytes : int
        Size of its weights.
    """

    name: str
    version: str
    stage: str
    history: tuple[StageChange, ...]
    card: Mapping[str, Any]
    n_bytes: int

    @classmethod
    def from_metadata(
        cls, name: str, version: str, metadata: Mapping[str, Any]
    ) -> Self:
        """Read the metadata of a node, a candidate; names come from its path."""
        try:
            registered = _texts(metadata["registered"], ("who", "when", "why"))
            card, n_bytes = dict(metadata["card"]), int(metadata["n_bytes"])
            _texts({"sha256": card["sha256"]}, ("sha256",))
        except (KeyError, TypeError, ValueError, ModelError) as error:
            raise ModelError(
                f"{name} {version} is no version of a model: {error!r}; delete its "
                "node and register it again"
            ) from error
        history = (StageChange("candidate", **registered),)
        return cls(name, version, "candidate", history, card, n_bytes)

    @property
    def sha256(self) -> str:
        """Hash of the weights."""
        return str(self.card["sha256"])

    @property
    def since(self) -> str:
        """When it came to its stage."""
        return self.history[-1].when

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values, without the card."""
        return {
            "name": self.name,
            "version": self.version,
            "stage": self.stage,
            "sha256": self.sha256,
            "history": [asdict(change) for change in self.history],
        }

    def moved(self, stage: str, decision: Decision, why: str) -> "ModelVersion":
        """Return it in another stage."""
        change = StageChange(stage, decision.who, decision.when, why)
        return replace(self, stage=stage, history=(*self.history, change))


class ModelState:
    """Where all versions of a model stand after what people decided.

    At most one is in production: that of the last promotion, or rollback, that counts.
    A decision about a version that is not there counts for nothing.

    Parameters
    ----------
    name : str
        Of the model.
    candidates : iterable of ModelVersion
        As they were registered.
    decisions : iterable of Decision
        In the order in which they were made.
    """

    def __init__(
        self,
        name: str,
        candidates: Iterable[ModelVersion],
        decisions: Iterable[Decision] = (),
    ) -> None:
        ordered = sorted(candidates, key=lambda item: (item.since, item.version))
        self._name = name
        self._versions = {item.version: item for item in ordered}
        self._promoted: list[str] = []
        self._withdrawn: set[str] = set()
        for decision in decisions:
            if decision.version in self._versions:
                self._apply(decision)

    @property
    def versions(self) -> tuple[ModelVersion, ...]:
        """All versions, in the order of registration."""
        return tuple(self._versions.values())

    @property
    def production(self) -> ModelVersion | None:
        """The version in production, if there is one."""
        return self._versions[self._promoted[-1]] if self._promoted else None

    @property
    def before(self) -> ModelVersion | None:
        """The version that a rollback brings back: none that somebody retired."""
        current = self._promoted[-1:]
        useless = self._withdrawn.union(current)
        earlier = [item for item in self._promoted if item not in useless]
        return self._versions[earlier[-1]] if earlier else None

    def version(self, version: str) -> ModelVersion:
        """Return the version of that name.

        Parameters
        ----------
        version : str
            Name of one of them.

        Returns
        -------
        ModelVersion
            As it stands now.

        Raises
        ------
        ModelError
            If there is none of that name; the text lists those that are there.
        """
        try:
            return self._versions[version]
        except KeyError:
            raise ModelError(
                f"{self._name} has no version {version!r}, only {self.describe()}"
            ) from None

    def describe(self) -> str:
        """Return one line, such as ``1.0 (retired), 1.1 (production)``."""
        texts = [f"{item.version} ({item.stage})" for item in self.versions]
        return ", ".join(texts) or "no version at all"

    def _apply(self, decision: Decision) -> None:
        if decision.action == "retire":
            self._retire(decision)
            return
        former = self.production
        self._withdrawn.discard(decision.version)
        if decision.action == "rollback":
            self._go_back_to(decision.version)
        elif former is None or former.version != decision.version:
            self._promoted.append(decision.version)
        self._move(decision.version, "production", decision, decision.why)
        if former is not None and former.version != decision.version:
            why = f"replaced by {decision.version}: {decision.why}"
            self._move(former.version, "retired", decision, why)

    def _retire(self, decision: Decision) -> None:
        """Retire a version, unless somebody else has just promoted it."""
        current = self.production
        if current is None or current.version != decision.version:
            self._withdrawn.add(decision.version)
            self._move(decision.version, "retired", decision, decision.why)

    def _go_back_to(self, version: str) -> None:
        """Take promotions back; of two rollbacks to one version the later does none."""
        while self._promoted and self._promoted[-1] != version:
            self._promoted.pop()
        self._promoted = self._promoted or [version]

    def _move(self, version: str, stage: str, decision: Decision, why: str) -> None:
        self._versions[version] = self._versions[version].moved(stage, decision, why)


def now() -> str:
    """Return the time in UTC, ISO 8601 with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _texts(values: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, str]:
    """Return values of these keys and no others, all of them texts."""
    if set(values) != set(keys) or not all(isinstance(v, str) for v in values.values()):
        raise ModelError(f"texts for {keys} were expected, got {dict(values)}")
    return dict(values)
