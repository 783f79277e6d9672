"""Pieces of large arrays that the cache of a core has room for."""

from collections.abc import Iterator

__all__ = ["row_blocks"]


def row_blocks(n_rows: int, n_columns: int, n_elements: int) -> Iterator[slice]:
    """Divide an array into rows to work on in one go, instead of copying it whole.

    Parameters
    ----------
    n_rows, n_columns : int
        Shape of the array.
    n_elements : int
        Most elements of a block; a block has one row at least.

    Returns
    -------
    iterator of slice
        Rows, with start and stop.

    Examples
    --------
    >>> list(row_blocks(5, 100, 250))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    step = max(1, n_elements // n_columns)
    return (slice(i, min(i + step, n_rows)) for i in range(0, n_rows, step))
