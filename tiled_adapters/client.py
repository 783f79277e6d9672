"""What people hold in their hands: results, queries and tables in plain words."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Self

import pandas as pd
from numpy.typing import NDArray
from tiled.client.array import ArrayClient
from tiled.client.base import BaseClient
from tiled.client.constructors import from_context
from tiled.client.container import Container
from tiled.queries import Comparison, Eq, In, Like

from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.vocabulary import Label
from ainerd_bluesky.xpcs.lags.one_time import g2_from_two_time
from tiled_adapters.fingerprints import nearest_runs
from tiled_adapters.summaries import Progress, summary_rows

__all__ = ["XPCSResult", "XPCSResults", "XPCSResultsCatalog", "XPCSTwoTime"]

_SHORTEST_UID = 6
_COLUMNS = {
    "label": "label",
    "confidence": "confidence",
    "sample": "sample",
    "run_uid": "run_uid",
    "relaxation_time": "physics.relaxation_time",
    "relaxation_rate": "physics.relaxation_rate",
    "relaxation_rate_err": "physics.relaxation_rate_err",
    "q": "physics.q",
    "q_bin": "physics.q_bin",
    "q_exponent": "physics.q_exponent",
    "alpha": "physics.alpha",
    "beta": "physics.beta",
    "novelty": "novelty",
    "cluster": "cluster",
    "quality_ok": "quality.ok",
    "quality_flags": "quality.flags",
    "quality_reasons": "quality.reasons",
    "frame_time": "frame_time",
    "n_frames": "n_frames",
    "n_q_bins": "n_q_bins",
    "model": "model.name",
    "model_version": "model.version",
    "published": "published",
    "key": "current",
}
"""Columns of the table of labels, and where they stand in a run's summary."""
_NUMBERS = (
    "confidence",
    "relaxation_time",
    "relaxation_rate",
    "relaxation_rate_err",
    "q",
    "q_bin",
    "q_exponent",
    "alpha",
    "beta",
    "novelty",
    "frame_time",
    "published",
)
"""Columns of numbers that may be unknown."""


class XPCSResultsCatalog(Container):
    """All analysed runs of a server, one node each."""

    def __getitem__(self, keys: str | tuple[str, ...], **options: object) -> BaseClient:
        """Return what a path leads to; six characters of a run's uid may be enough."""
        parts = _parts(keys)
        if len(parts) > 2:
            # Nothing is left to be guessed: one request instead of one a step.
            with suppress(KeyError):
                return super().__getitem__(tuple(parts), **options)
        try:
            results = super().__getitem__(parts[0], **options)
        except KeyError:
            results = super().__getitem__(self._whole_uid(parts[0]), **options)
        return results[tuple(parts[1:])] if parts[1:] else results

    def find(
        self,
        label: str | Sequence[str] | None = None,
        *,
        min_confidence: float | None = None,
        sample: str | None = None,
        min_novelty: float | None = None,
        max_novelty: float | None = None,
        model_version: str | None = None,
    ) -> Self:
        """Narrow the runs down; what is left out does not count.

        A run whose first result is still being written is not found.

        Parameters
        ----------
        label : str or sequence of str, optional
            A word for dynamics, or several.
        min_confidence : float, optional
            Lowest probability of the label, 0..1.
        sample : str, optional
            Name of the sample.
        min_novelty, max_novelty : float, optional
            How unlike everything known a map is, 0..1.
        model_version : str, optional
            Version of the model that gave the label.

        Returns
        -------
        XPCSResultsCatalog
            To be narrowed down further, listed, or made a table of.
        """
        found: Self = self.search(Eq("status", "complete"))
        if label is not None:
            words = [label] if isinstance(label, str) else list(label)
            self._check_labels(words)
            found = found.search(In("label", [str(word) for word in words]))
        for operator, key, value in (
            ("ge", "confidence", min_confidence),
            ("ge", "novelty", min_novelty),
            ("le", "novelty", max_novelty),
        ):
            if value is not None:
                found = found.search(Comparison(operator, key, float(value)))
        for key, text in (("sample", sample), ("model.version", model_version)):
            if text is not None:
                found = found.search(Eq(key, text))
        return found

    def labels_table(self) -> pd.DataFrame:
        """Return one row per analysed run.

        Returns
        -------
        pandas.DataFrame
            The label with its confidence, the sample, the physics (times in seconds,
            rates in 1/s, q in 1/angstrom), the quality and the model; unknown numbers
            are nan.
        """
        rows = list(summary_rows(self.search(Eq("status", "complete")), _COLUMNS))
        frame = pd.DataFrame(rows, columns=list(_COLUMNS))
        for name in _NUMBERS:
            frame[name] = pd.to_numeric(frame[name])
        return frame

    def similar_to(
        self, uid: str, n: int = 10, *, progress: Progress | None = None
    ) -> pd.DataFrame:
        """Find the runs whose dynamics are most like those of one run.

        Compared are the fingerprints of the runs found here (`find` narrows them down)
        that the same model has analysed. The first call fetches them all and keeps
        them in a file of one's own; later ones fetch what is new.

        Parameters
        ----------
        uid : str
            Run to compare with; six characters may be enough.
        n : int
            How many to find.
        progress : callable, optional
            Told how many fingerprints have been fetched, and of how many.

        Returns
        -------
        pandas.DataFrame
            The runs, nearest first: `run_uid`, `distance` between the fingerprints,
            and the columns of `labels_table`. Its `attrs` have the whole `run_uid` and
            the `label` of the run compared with, and `n_not_compared`, the number of
            runs that have no fingerprint of this model.

        Notes
        -----
        A run without a fingerprint, or without any other of the same model, is a
        `FingerprintError` that names the cure; an unknown one is a `KeyError`.
        """
        everything: Self = self.new_variation(queries=[])
        summary = everything[uid].metadata
        found = nearest_runs(self, summary, n, progress=progress)
        table = pd.concat([part.labels_table() for part in found.parts])
        frame: pd.DataFrame = table.set_index("run_uid").reset_index()
        frame.insert(1, "distance", frame["run_uid"].map(found.distances))
        frame = frame.sort_values(["distance", "run_uid"], ignore_index=True)
        frame.attrs = {
            "run_uid": summary["run_uid"],
            "label": summary["label"],
            "n_not_compared": found.n_not_compared,
        }
        return frame

    def run(self, uid: str, *, raw: str = "raw") -> Container:
        """Return the raw run behind a result.

        Parameters
        ----------
        uid : str
            Of the run.
        raw : str
            Path of the container of runs.

        Returns
        -------
        BlueskyRun
            As it was acquired.

        Raises
        ------
        KeyError
            If there is no such run; the text names the file of an archived result.
        """
        root = from_context(self.context, structure_clients=self.structure_clients)
        runs = root[raw]
        try:
            return runs[uid]
        except KeyError as error:
            provenance = self[uid].result.metadata["provenance"]
            raise KeyError(
                f"{uid} came from file {provenance['source']}: there is no raw run"
            ) from error

    def _whole_uid(self, start: str) -> str:
        """Return the one uid that begins so."""
        if len(start) < _SHORTEST_UID:
            raise KeyError(
                f"{start} (give {_SHORTEST_UID} characters or the whole uid)"
            )
        alike = self.search(Like("run_uid", f"{start}%"))
        # To the server, case does not matter and _ is any character.
        candidates: list[str] = [uid for uid in alike if uid.startswith(start)]
        if not candidates:
            raise KeyError(start)
        if len(candidates) > 1:
            raise KeyError(f"{start} may be any of {', '.join(candidates)}")
        return candidates[0]

    def _check_labels(self, words: Sequence[str]) -> None:
        """Refuse a word that names no dynamics and stands on no run."""
        unknown = [word for word in words if word not in set(Label)]
        if not unknown:
            return
        there = {item["value"] for item in self.distinct("label")["metadata"]["label"]}
        missing = [word for word in unknown if word not in there]
        if missing:
            known = ", ".join([*Label, *sorted(there - set(Label) - {None})])
            raise ConfigError(f"no label {missing[0]!r}; labels are: {known}")


class _Summary(Container):
    """Names for what the metadata of an analysis tell."""

    @property
    def label(self) -> str | None:
        """What the two-time maps show; None while it is being written."""
        label: str | None = self.metadata.get("label")
        return label

    @property
    def confidence(self) -> float | None:
        """Probability of the label."""
        confidence: float | None = self.metadata.get("confidence")
        return confidence

    @property
    def physics(self) -> dict[str, Any]:
        """Relaxation rate in 1/s and its company, None where not known."""
        return dict(self.metadata.get("physics") or {})

    @property
    def quality(self) -> dict[str, Any]:
        """`ok`, and where it is not, `flags` and `reasons`."""
        return dict(self.metadata.get("quality") or {})

    def __repr__(self) -> str:
        label = self.label or self.metadata.get("status", "")
        confidence = "" if self.confidence is None else f" ({self.confidence:.2f})"
        return f"<{type(self).__name__} {self.item['id']}: {label}{confidence}>"


class XPCSResults(_Summary):
    """What is known of one run: its summary, and one child per result.

    Arrays can be asked of it directly: they are those of the current result.
    """

    @property
    def result(self) -> "XPCSResult":
        """The result whose label is the run's.

        Raises
        ------
        LookupError
            If none is complete.
        """
        current = self.metadata.get("current")
        if current is None:
            raise LookupError(f"no result of run {self.item['id']} is complete")
        result: XPCSResult = super().__getitem__((current,))
        return result

    def __getitem__(self, keys: str | tuple[str, ...], **options: object) -> BaseClient:
        """Return a result by its key, or an array of the current one."""
        parts = _parts(keys)
        if parts[0] in self.metadata.get("contents", ()):
            parts = [self.metadata["current"], *parts]
        return super().__getitem__(tuple(parts), **options)


class XPCSResult(_Summary):
    """One analysis of one run."""

    @property
    def two_time(self) -> "XPCSTwoTime":
        """Two-time maps, (n_q_bins, n_frames, n_frames), read when indexed."""
        maps: XPCSTwoTime = self["two_time"]
        return maps

    @property
    def g2(self) -> NDArray[Any]:
        """Intensity autocorrelation, (n_q_bins, n_lags)."""
        return self._array("g2")

    @property
    def lags(self) -> NDArray[Any]:
        """Delays of g2 in frames, (n_lags,)."""
        return self._array("lags")

    @property
    def embedding(self) -> NDArray[Any]:
        """Points in latent space, (n_q_bins, n_components)."""
        return self._array("embedding")

    @property
    def bins(self) -> pd.DataFrame:
        """One row per q-bin."""
        frame: pd.DataFrame = self["bins"].read()
        return frame

    def _array(self, name: str) -> NDArray[Any]:
        array: NDArray[Any] = self[name].read()
        return array


class XPCSTwoTime(ArrayClient):
    """Two-time maps: index them like an array."""

    def g2(self) -> NDArray[Any]:
        """Average the maps along the diagonals.

        Returns
        -------
        ndarray of shape (..., n_frames - 1)
            For lags of 1, 2, ... frames; the shot noise at lag 0 is left out.
        """
        return g2_from_two_time(self.read())


def _parts(keys: str | tuple[str, ...]) -> list[str]:
    """Return the steps of a path, given as one text or as several."""
    joined = keys if isinstance(keys, str) else "/".join(keys)
    return [part for part in joined.split("/") if part]
