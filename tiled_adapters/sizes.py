"""How many bytes a read would bring, and whether a file can hold them."""

import math

import h5py

from ainerd_bluesky.errors import FileFormatError
from ainerd_bluesky.xpcs.machine.memory import require_memory

__all__ = ["require_plausible_size", "require_stored", "selected_bytes"]

# No filter makes more of a byte; chunks that were never written make any number.
_MOST_FROM_A_BYTE = 32_768
_ALWAYS_PLAUSIBLE_BYTES = 2**28


def require_stored(dataset: h5py.Dataset, n_bytes: int) -> None:
    """Refuse to read more than can come out of what a file stores.

    A damaged shape asks for terabytes: they would be made of fill values, and the
    process killed for them.

    Parameters
    ----------
    dataset : h5py.Dataset
        An open dataset.
    n_bytes : int
        How much of it would be read.

    Raises
    ------
    FileFormatError
        If the stored bytes cannot hold so much.
    """
    largest = _largest(dataset, n_bytes)
    if largest <= _ALWAYS_PLAUSIBLE_BYTES:
        return
    n_stored = dataset.id.get_storage_size()
    if largest > n_stored * _MOST_FROM_A_BYTE:
        raise FileFormatError(
            f"{dataset.file.filename}: {dataset.name} of shape {dataset.shape} claims "
            f"{largest:.3g} bytes at once, but stores {n_stored}"
        )


def require_plausible_size(dataset: h5py.Dataset, n_bytes: int) -> None:
    """Refuse to read at once more than a file stores, or the machine has left.

    Parameters
    ----------
    dataset : h5py.Dataset
        An open dataset.
    n_bytes : int
        How much of it would be read.

    Notes
    -----
    What the stored bytes cannot hold is a `FileFormatError`; what is plausible and yet
    more than the machine has left is a `MemoryBudgetError`.
    """
    require_stored(dataset, n_bytes)
    largest = _largest(dataset, n_bytes)
    if largest > _ALWAYS_PLAUSIBLE_BYTES:
        place = f"{dataset.file.filename}: {dataset.name} of shape {dataset.shape}"
        require_memory(largest, place, "read fewer frames or q-bins at once")


def _largest(dataset: h5py.Dataset, n_bytes: int) -> int:
    """Return what a read takes: no less than the chunk it has to unpack."""
    chunk_bytes = math.prod(dataset.chunks or ()) * int(dataset.dtype.itemsize)
    return max(n_bytes, chunk_bytes)


def selected_bytes(dataset: h5py.Dataset, selection: tuple[slice, ...] = ()) -> int:
    """Return the size of a part of a dataset, before it is read.

    Parameters
    ----------
    dataset : h5py.Dataset
        An open dataset.
    selection : tuple of slices
        Which part; all of it by default.

    Returns
    -------
    int
        Bytes in memory.
    """
    shape = dataset.shape or ()
    lengths = [len(range(n)[part]) for n, part in zip(shape, selection, strict=False)]
    n_elements = math.prod([*lengths, *shape[len(selection) :]])
    return n_elements * int(dataset.dtype.itemsize)
