"""Stages of the versions of a model: who put which one into production, and when."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from ainerd_bluesky.errors import ModelError

__all__ = [
    "ModelVersion",
    "StageChange",
    "describe_stages",
    "in_production",
    "next_time",
    "pick_version",
    "settle",
]

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class StageChange:
    """One decision about a version.

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
    replaces : str, optional
        Version that was in production until then, which a rollback brings back.
    """

    stage: str
    who: str
    when: str
    why: str
    replaces: str | None = None


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
        In the order of time, at least its registration.
    card : mapping
        Card of the model: data, recipe, figures, limits, `sha256`, `format_version`.
    """

    name: str
    version: str
    stage: str
    history: tuple[StageChange, ...]
    card: Mapping[str, Any]

    @classmethod
    def from_metadata(
        cls, name: str, version: str, metadata: Mapping[str, Any]
    ) -> Self:
        """Read the metadata of a node; names come from its path."""
        changes = [StageChange(**change) for change in metadata["history"]]
        history = tuple(sorted(changes, key=lambda change: change.when))
        return cls(name, version, history[-1].stage, history, dict(metadata["card"]))

    @property
    def sha256(self) -> str:
        """Hash of the weights."""
        return str(self.card["sha256"])

    @property
    def since(self) -> str:
        """When it came to its stage."""
        return self.history[-1].when

    @property
    def replaced(self) -> str | None:
        """Version that its last promotion took the place of."""
        promotions = [item for item in self.history if item.stage == "production"]
        return promotions[-1].replaces if promotions else None

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values, without the card."""
        return {
            "name": self.name,
            "version": self.version,
            "stage": self.stage,
            "sha256": self.sha256,
            "history": [asdict(change) for change in self.history],
        }


def in_production(versions: Iterable[ModelVersion]) -> ModelVersion | None:
    """Return the version in production: of several, the one that came last.

    Parameters
    ----------
    versions : iterable of ModelVersion
        Of one model.

    Returns
    -------
    ModelVersion or None
        None where there is none.
    """
    staged = [version for version in versions if version.stage == "production"]
    return max(staged, key=lambda item: (item.since, item.version), default=None)


def settle(versions: Iterable[ModelVersion]) -> tuple[ModelVersion, ...]:
    """Order versions by registration, and leave one of them in production.

    A promotion that was cut short, or two at once, leave two versions in production.

    Parameters
    ----------
    versions : iterable of ModelVersion
        Of one model.

    Returns
    -------
    tuple of ModelVersion
        All of them; those that were replaced are `retired`.
    """
    ordered = sorted(versions, key=lambda item: item.history[0].when)
    current = in_production(ordered)
    return tuple(
        replace(item, stage="retired")
        if item.stage == "production" and item is not current
        else item
        for item in ordered
    )


def pick_version(
    versions: Sequence[ModelVersion], name: str, version: str
) -> ModelVersion:
    """Return the version of that name.

    Parameters
    ----------
    versions : sequence of ModelVersion
        Of one model.
    name : str
        Of the model.
    version : str
        Name of one of them.

    Returns
    -------
    ModelVersion
        One of `versions`.

    Raises
    ------
    ModelError
        If there is none of that name; the text lists those that are there.
    """
    for item in versions:
        if item.version == version:
            return item
    raise ModelError(
        f"{name} has no version {version!r}, only {describe_stages(versions)}"
    )


def describe_stages(versions: Iterable[ModelVersion]) -> str:
    """Return versions and their stages in one line.

    Parameters
    ----------
    versions : iterable of ModelVersion
        Of one model.

    Returns
    -------
    str
        Such as ``1.0 (retired), 1.1 (production)``.
    """
    texts = [f"{item.version} ({item.stage})" for item in settle(versions)]
    return ", ".join(texts) or "no version at all"


def next_time(versions: Iterable[ModelVersion]) -> str:
    """Return the time of a new change: now, or later where a clock was ahead.

    Parameters
    ----------
    versions : iterable of ModelVersion
        Of one model.

    Returns
    -------
    str
        Later than all changes so far.
    """
    times = [datetime.fromisoformat(version.since) for version in versions]
    now = datetime.now(UTC)
    latest = max([now, *(time + _TICK for time in times)])
    return latest.isoformat(timespec="microseconds")
