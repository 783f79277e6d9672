"""Where a training stands, kept on disk so that a killed one can go on."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ainerd_bluesky.errors import ModelError
from ainerd_bluesky.files import replaced

__all__ = ["Checkpoint", "Checkpoints"]

_CARD = "checkpoint.json"
_UNREADABLE = (OSError, KeyError, TypeError, json.JSONDecodeError, SafetensorError)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """All that a training needs to go on.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        Weights and what the optimizer knows.
    facts : mapping
        Numbers, ready for JSON.
    """

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


class Checkpoints:
    """A folder with the last checkpoint of one training.

    The tensors lie in a safetensors file of their own, and the card names it with its
    sha256. A file takes its name only when it is whole, the card after the tensors:
    whenever the process is killed, the last checkpoint or the one before is there.

    Parameters
    ----------
    folder : str or Path
        Made if it is missing.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._card = self._folder / _CARD

    def save(self, identity: str, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint, and let the one before go.

        Parameters
        ----------
        identity : str
            What decides the training: recipe, data and the weights it began with.
        checkpoint : Checkpoint
            After an epoch.
        """
        content = save({key: each.clone() for key, each in checkpoint.tensors.items()})
        sha256 = hashlib.sha256(content).hexdigest()
        tensors = self._folder / f"{sha256[:16]}.safetensors"
        card = {
            "identity": identity,
            "tensors": tensors.name,
            "sha256": sha256,
            "facts": dict(checkpoint.facts),
        }
        self._folder.mkdir(parents=True, exist_ok=True)
        with replaced(tensors) as draft:
            draft.write_bytes(content)
        with replaced(self._card) as draft:
            draft.write_text(json.dumps(card, indent=1) + "\n")
        for path in self._folder.glob("*.safetensors"):
            if path != tensors:
                path.unlink()

    def load(self, identity: str) -> Checkpoint | None:
        """Return the last checkpoint.

        Parameters
        ----------
        identity : str
            As it was saved with.

        Returns
        -------
        Checkpoint or None
            None where nothing was kept yet.

        Raises
        ------
        ModelError
            If it is that of another training, or damaged.
        """
        if not self._card.exists():
            return None
        cure = f"delete {self._folder}, or name another folder"
        try:
            card = json.loads(self._card.read_text())
            content = (self._folder / Path(card["tensors"]).name).read_bytes()
            found, stated = hashlib.sha256(content).hexdigest(), card["sha256"]
            if found != stated:
                raise ModelError(
                    f"{self._folder} holds a damaged checkpoint: sha256 {found[:12]}..."
                    f", its card says {stated[:12]}...; {cure}"
                )
            if card["identity"] != identity:
                raise ModelError(
                    f"{self._folder} holds the checkpoint of another training "
                    f"({card['identity'][:12]}, this one is {identity[:12]}): another "
                    f"recipe, other maps or another model; {cure}"
                )
            return Checkpoint(load(content), card["facts"])
        except _UNREADABLE as error:
            raise ModelError(
                f"{self._card} is no checkpoint: {error!r}; {cure}"
            ) from error
