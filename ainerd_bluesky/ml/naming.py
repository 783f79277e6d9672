"""A beamline's own words for dynamics: few named examples, no training."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import reduce
from typing import Any, Literal, Self

import numpy as np

from ainerd_bluesky.errors import NamingError
from ainerd_bluesky.ml.parts import Parts
from ainerd_bluesky.ml.words import ModelWords, NamedModel
from ainerd_bluesky.vocabulary import Label

__all__ = ["Naming", "Vocabulary", "check_word"]

_WORD = re.compile(r"[a-z][a-z0-9-]*")
_ACTIONS = ("name", "rename", "forget")


@dataclass(frozen=True)
class Naming:
    """One act of naming: what somebody did to the vocabulary.

    Parameters
    ----------
    action : {"name", "rename", "forget"}
        What was done.
    word : str
        To which word.
    who : str
        Who did it.
    when : str
        Time, ISO 8601 in UTC.
    new_word : str, optional
        What `word` was renamed to.
    model_sha256 : str
        Hash of the model whose fingerprints `mean` is made of.
    mean : tuple of float
        Mean fingerprint of the examples.
    n_examples : int
        How many examples `mean` is made of.
    examples : tuple of str
        The examples, as `<run uid>:<q-bin>`; empty where a cluster was named.
    cluster : str, optional
        The cluster that was named, as `<clusters>:<id>`.
    parts : Parts, optional
        Where its members lie; None for examples, and for clusters that were named
        before this was kept.
    """

    action: Literal["name", "rename", "forget"]
    word: str
    who: str
    when: str
    new_word: str | None = None
    model_sha256: str = ""
    mean: tuple[float, ...] = ()
    n_examples: int = 0
    examples: tuple[str, ...] = ()
    cluster: str | None = None
    parts: Parts | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        lists = {"mean": list(self.mean), "examples": list(self.examples)}
        document = {**asdict(replace(self, parts=None)), **lists}
        if self.parts is None:
            del document["parts"]
            return document
        return {**document, "parts": self.parts.to_json()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what `to_json` gave.

        Parameters
        ----------
        document : mapping
            JSON types.

        Returns
        -------
        Naming
            Equal to the one it was made of.

        Raises
        ------
        NamingError
            If a key is missing or unknown, or a value cannot be.
        """
        try:
            naming = cls(**document)
            mean = tuple(float(number) for number in naming.mean)
            examples = tuple(map(str, naming.examples))
            found = document.get("parts")
            parts = None if found is None else Parts.from_json(found)
        except (KeyError, TypeError, ValueError) as error:
            raise NamingError(f"no act of naming: {error}") from error
        flaw = _flaw(document, mean)
        if flaw is not None:
            raise NamingError(f"no act of naming: {flaw}")
        if parts is not None and len(parts.means[0]) != len(mean):
            raise NamingError(
                f"no act of naming: its mean has {len(mean)} components, its parts "
                f"{len(parts.means[0])}"
            )
        return replace(naming, mean=mean, examples=examples, parts=parts)


@dataclass(frozen=True)
class Vocabulary:
    """The words of a beamline: a history that only grows, and what follows from it.

    Parameters
    ----------
    history : tuple of Naming
        In the order in which it happened.

    Examples
    --------
    >>> first = Naming("name", "gel", "ann", "2026-01-01T10:00:00Z", n_examples=5)
    >>> second = Naming("rename", "gel", "bob", "2026-01-02T10:00:00Z", "weak-gel")
    >>> Vocabulary((first, second)).words
    ('weak-gel',)
    """

    history: tuple[Naming, ...] = ()

    @property
    def entries(self) -> tuple[Naming, ...]:
        """What was named and is not forgotten, under its present word, oldest first.

        The same examples given twice, as after a lost connection, count once.
        """
        return reduce(_after, self.history, ())

    @property
    def words(self) -> tuple[str, ...]:
        """Words of all entries, in alphabetical order."""
        return tuple(sorted({entry.word for entry in self.entries}))

    def after(self, naming: Naming) -> "Vocabulary":
        """Return the vocabulary after one more act of naming.

        Parameters
        ----------
        naming : Naming
            What somebody does.

        Returns
        -------
        Vocabulary
            This one stays as it is.

        Raises
        ------
        NamingError
            If the word cannot be used, is unknown, or is taken, or if the cluster has
            another one already.
        """
        if naming.action == "name":
            check_word(naming.word)
            if naming.n_examples < 1 or not naming.mean:
                raise NamingError(f"{naming.word!r} needs an example, got none")
            self._check_not_named(naming)
        elif naming.word not in self.words:
            known = ", ".join(self.words) or "none"
            raise NamingError(
                f"no word {naming.word!r}; named words are: {known}; give it first "
                f"with `ainerd name CLUSTER {naming.word}`"
            )
        if naming.action == "rename":
            self._check_new_word(naming)
        return Vocabulary((*self.history, naming))

    def for_model(self, model: NamedModel) -> ModelWords | None:
        """Return the words that were named with a model.

        A word that was given more than once has a mean for each time: what it was
        given to need not lie at one place.

        Parameters
        ----------
        model : NamedModel
            Whose fingerprints are going to be named.

        Returns
        -------
        ModelWords or None
            None if there are no words of this model.

        Raises
        ------
        NamingError
            If a word was given to fingerprints of another size than the model's.
        """
        entries = [
            entry for entry in self.entries if entry.model_sha256 == model.sha256
        ]
        if not entries:
            return None
        n_components = np.shape(model.latent.means)[1]
        for entry in entries:
            if len(entry.mean) != n_components:
                raise NamingError(
                    f"{entry.word!r} has {len(entry.mean)} components, fingerprints "
                    f"of the model {n_components}: `ainerd names --forget {entry.word}`"
                )
        entries.sort(key=lambda entry: entry.word)
        words = tuple(entry.word for entry in entries)
        numbers = [entry.n_examples for entry in entries]
        means = [entry.mean for entry in entries]
        parts = [
            entry.parts or Parts((entry.mean,), (entry.n_examples,))
            for entry in entries
        ]
        known = [entry.parts.to_json() if entry.parts else None for entry in entries]
        return ModelWords(
            words=words,
            means=np.array(means),
            n_examples=np.array(numbers),
            class_means=np.asarray(model.latent.means, np.float64),
            whitening=np.asarray(model.latent.whitening, np.float64),
            # Words without parts have the hash that they had before there were any.
            sha256=_hash([words, numbers, means, *([known] if any(known) else [])]),
            parts=tuple(parts),
        )

    def _check_not_named(self, naming: Naming) -> None:
        for entry in self.entries:
            if entry.word != naming.word and _is_of_same(entry, naming):
                what = f"cluster {naming.cluster}" if naming.cluster else "this"
                raise NamingError(
                    f"{what} is {entry.word!r} already, and two words would share it: "
                    f"`ainerd names --rename {entry.word} {naming.word}`, or "
                    f"`ainerd names --forget {entry.word}` first"
                )

    def _check_new_word(self, naming: Naming) -> None:
        check_word(naming.new_word or "")
        if naming.new_word in self.words:
            raise NamingError(
                f"{naming.new_word!r} is there already: forget one of the two, or "
                f"choose another word for {naming.word!r}"
            )


def check_word(word: str) -> None:
    """Refuse what cannot be a word of a beamline.

    Parameters
    ----------
    word : str
        Meant to name dynamics.

    Raises
    ------
    NamingError
        If it has other characters than small letters, digits and dashes, begins with
        no letter, or is a word of the built-in vocabulary.
    """
    if not _WORD.fullmatch(word):
        raise NamingError(
            "a word has small letters, digits and - only, and begins with a letter, "
            f"such as 'weak-gel', got {word!r}"
        )
    if word in set(Label):
        raise NamingError(
            f"{word!r} is built in and has a meaning of its own; choose another word, "
            f"such as 'my-{word}'"
        )


def _after(entries: tuple[Naming, ...], naming: Naming) -> tuple[Naming, ...]:
    match naming.action:
        case "name":
            same = [_is_same(entry, naming) for entry in entries]
            if not any(same):
                return (*entries, naming)
            # The later act may know more: where the members of a cluster lie.
            return tuple(
                naming if is_it else entry
                for is_it, entry in zip(same, entries, strict=True)
            )
        case "rename":
            return tuple(
                replace(entry, word=str(naming.new_word))
                if entry.word == naming.word
                else entry
                for entry in entries
            )
        case "forget":
            return tuple(entry for entry in entries if entry.word != naming.word)


def _flaw(document: Mapping[str, Any], mean: tuple[float, ...]) -> str | None:
    """Return what would stop everybody who reads the vocabulary, None if nothing."""
    action, n_examples = document["action"], document.get("n_examples", 0)
    if action not in _ACTIONS:
        return f"it is one of {_ACTIONS}, got {action!r}"
    words = ["word", "new_word"] if action == "rename" else ["word"]
    for word in (document.get(key) for key in words):
        if not isinstance(word, str) or not word:
            return f"{word!r} is no word"
    if not np.isfinite(mean).all():
        return f"the mean is not finite, {mean}"
    if not isinstance(n_examples, int) or (action == "name" and n_examples < 1):
        return f"it needs a number of examples, got {n_examples!r}"
    return "it has no mean" if action == "name" and not mean else None


def _is_same(one: Naming, other: Naming) -> bool:
    """Return whether two acts give one word to the same fingerprints."""
    return (one.word, one.model_sha256, one.mean) == (
        other.word,
        other.model_sha256,
        other.mean,
    )


def _is_of_same(one: Naming, other: Naming) -> bool:
    """Return whether two acts name one cluster, or the same fingerprints."""
    is_cluster = one.cluster is not None and one.cluster == other.cluster
    is_place = one.mean == other.mean
    return one.model_sha256 == other.model_sha256 and (is_cluster or is_place)


def _hash(value: Sequence[Any]) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
