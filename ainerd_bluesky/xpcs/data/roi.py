"""Partitions of a detector: which pixel belongs to which q-bin."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_bluesky.errors import PartitionError

__all__ = ["QPartition", "ring_partition", "sector_partition", "static_bins_along"]

# The mean of so many speckles stands within a few per cent of the scattering.
_FEWEST_STATIC_PIXELS = 100


@dataclass(frozen=True, eq=False)
class QPartition:
    """Assignment of detector pixels to q-bins.

    Parameters
    ----------
    roi_map : ndarray of int32, shape (n_rows, n_cols)
        Label of each pixel: 1 .. n_q_bins, 0 for a pixel that is not used. Every
        label from 1 to n_q_bins occurs.
    q_values : ndarray of float64, shape (n_q_bins,)
        Mean momentum transfer of each bin, in 1/angstrom.
    phi_values : ndarray of float64, shape (n_q_bins,)
        Azimuth of each bin's centre, in degrees; nan for a whole ring.
    static_map : ndarray of int32, shape (n_rows, n_cols), optional
        Label of the static bin of each pixel: parts of a q-bin, narrow enough that
        the scattering is the same all over one. 0 for a pixel in none.

    Raises
    ------
    PartitionError
        If the labels are not whole numbers 1 .. n_q_bins, or the values or the static
        bins do not fit them.

    Examples
    --------
    >>> partition = QPartition(np.array([[0, 1], [2, 2]]), [0.01, 0.02], [np.nan] * 2)
    >>> partition.n_q_bins, partition.shape
    (2, (2, 2))
    """

    roi_map: NDArray[np.int32]
    q_values: NDArray[np.float64]
    phi_values: NDArray[np.float64]
    static_map: NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        roi_map = _checked_map("roi_map", np.asarray(self.roi_map))
        q_values = _checked_values("q_values", self.q_values)
        phi_values = _checked_values("phi_values", self.phi_values)
        _check_labels(roi_map, len(q_values))
        if not (np.isfinite(q_values) & (q_values >= 0)).all():
            raise PartitionError(f"q_values must be finite and >= 0, got {q_values}")
        if len(phi_values) != len(q_values):
            raise PartitionError(
                f"phi_values has {len(phi_values)} entries, q_values {len(q_values)}"
            )

        arrays: dict[str, NDArray[Any]] = {
            "roi_map": roi_map,
            "q_values": q_values,
            "phi_values": phi_values,
        }
        if self.static_map is not None:
            static_map = _checked_map("static_map", np.asarray(self.static_map))
            if static_map.shape != roi_map.shape:
                raise PartitionError(
                    f"static_map has shape {static_map.shape}, roi_map {roi_map.shape}"
                )
            arrays["static_map"] = static_map

        for name, value in arrays.items():
            value.setflags(write=False)
            object.__setattr__(self, name, value)

    @property
    def n_q_bins(self) -> int:
        """Number of q-bins."""
        return len(self.q_values)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the detector."""
        n_rows, n_cols = self.roi_map.shape
        return n_rows, n_cols

    @cached_property
    def sha256(self) -> str:
        """Hash of labels, q, phi and static bins: the same on every machine."""
        digest = hashlib.sha256(f"QPartition 1 {self.shape}".encode())
        digest.update(self.roi_map.astype("<i4").tobytes())
        for values in (self.q_values, self.phi_values):
            canonical = np.where(np.isnan(values), np.nan, values + 0.0)
            digest.update(canonical.astype("<f8").tobytes())
        if self.static_map is not None:
            digest.update(self.static_map.astype("<i4").tobytes())
        return digest.hexdigest()


def ring_partition(  # noqa: PLR0913 - keyword-only, each one a measured quantity
    shape: tuple[int, int],
    *,
    beam_center: tuple[float, float],
    pixel_size: float,
    distance: float,
    wavelength: float,
    q_edges: Sequence[float] | NDArray[np.float64],
    n_phi: int = 1,
    n_static: int = 10,
    mask: NDArray[np.bool_] | None = None,
) -> QPartition:
    r"""Divide a flat detector, normal to the beam, into rings and sectors.

    Bins that hold no pixel (behind the beam stop, off the detector) are left out and
    the labels count on without a gap: rings from the inside, sectors from phi = 0.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the detector.
    beam_center : tuple of float
        Row and column of the direct beam, in pixels; whole numbers are pixel centres.
    pixel_size : float
        Edge of a square pixel, in metres.
    distance : float
        From sample to detector, in metres.
    wavelength : float
        In angstrom.
    q_edges : array_like of shape (n_rings + 1,)
        Rising edges of adjoining rings, in 1/angstrom; the lower one belongs to the
        ring.
    n_phi : int
        Equal sectors in each ring. phi counts from the direction of rising columns,
        counter-clockwise as the image is shown with its origin in the upper left.
    n_static : int
        Static bins in each q-bin, along q; fewer where one would hold less than 100
        pixels, whose mean would follow their speckles instead of the scattering.
    mask : ndarray of bool, shape (n_rows, n_cols), optional
        True for pixels that may be used.

    Returns
    -------
    QPartition
        At most n_rings * n_phi bins; `q_values` are means over the pixels used.

    Raises
    ------
    PartitionError
        If a quantity cannot be used, or no pixel lies in any ring.

    Notes
    -----
    .. math:: q = \frac{4\pi}{\lambda} \sin\left(\tfrac12 \arctan\frac{r}{L}\right)
    """
    for name, value in (
        ("pixel_size", pixel_size),
        ("distance", distance),
        ("wavelength", wavelength),
    ):
        if not value > 0:
            raise PartitionError(f"{name} must be positive, got {value}")

    rows, cols = np.indices(shape, dtype=np.float64)
    up, right = beam_center[0] - rows, cols - beam_center[1]
    angle = np.arctan(np.hypot(up, right) * pixel_size / distance)
    return sector_partition(
        4 * np.pi / wavelength * np.sin(angle / 2),
        np.degrees(np.arctan2(up, right)),
        q_edges=q_edges,
        n_phi=n_phi,
        n_static=n_static,
        mask=mask,
    )


def sector_partition(
    q: NDArray[np.float64],
    phi: NDArray[np.float64],
    *,
    q_edges: Sequence[float] | NDArray[np.float64],
    n_phi: int = 1,
    n_static: int = 10,
    mask: NDArray[np.bool_] | None = None,
) -> QPartition:
    """Divide a detector whose geometry is known into rings and sectors.

    Parameters
    ----------
    q : ndarray of float64, shape (n_rows, n_cols)
        Momentum transfer of each pixel, in 1/angstrom.
    phi : ndarray of float64, shape (n_rows, n_cols)
        Azimuth of each pixel, in degrees; whole turns do not count.
    q_edges, n_phi, n_static, mask
        As for `ring_partition`.

    Returns
    -------
    QPartition
        As of `ring_partition`.

    Raises
    ------
    PartitionError
        If a quantity cannot be used, or no pixel lies in any ring.
    """
    edges = _checked_edges(q_edges)
    for name, value in (("n_phi", n_phi), ("n_static", n_static)):
        if not value > 0:
            raise PartitionError(f"{name} must be positive, got {value}")
    if mask is not None and mask.shape != q.shape:
        raise PartitionError(f"mask has shape {mask.shape}, the detector {q.shape}")

    turn = phi % 360.0
    ring = np.digitize(q, edges) - 1
    sector = np.minimum((turn * n_phi / 360.0).astype(np.int64), n_phi - 1)
    is_used = (ring >= 0) & (ring < len(edges) - 1)
    if mask is not None:
        is_used &= mask.astype(bool)
    bins = np.where(is_used, ring * n_phi + sector, -1)
    return _compacted(bins, q, n_phi, n_static)


def static_bins_along(
    roi_map: NDArray[np.integer], q: NDArray[np.float64], n_static: int
) -> NDArray[np.int32]:
    """Divide each q-bin along q into static bins of about equally many pixels.

    Parameters
    ----------
    roi_map : ndarray of int, shape (n_rows, n_cols)
        Label of the q-bin of each pixel, 0 for none.
    q : ndarray of float64, shape (n_rows, n_cols)
        Momentum transfer of each pixel, in 1/angstrom.
    n_static : int
        Most static bins in one q-bin; each holds at least 100 pixels if it is not the
        only one.

    Returns
    -------
    ndarray of int32, shape (n_rows, n_cols)
        Labels 1 .. n, rising with the q-bin and, inside it, with q; 0 for a pixel that
        is not used.
    """
    static_map = np.zeros(roi_map.shape, np.int32)
    n_before = 0
    for label in range(1, int(roi_map.max()) + 1):
        is_inside = roi_map == label
        n_bins = int(np.clip(is_inside.sum() // _FEWEST_STATIC_PIXELS, 1, n_static))
        inside = q[is_inside]
        edges = np.quantile(inside, np.arange(1, n_bins) / n_bins)
        static_map[is_inside] = n_before + 1 + np.digitize(inside, edges)
        n_before += n_bins
    return static_map


def _compacted(
    bins: NDArray[np.int64], q: NDArray[np.float64], n_phi: int, n_static: int
) -> QPartition:
    """Return the bins that hold pixels; `bins` is -1 where a pixel is not used."""
    present, label = np.unique(bins[bins >= 0], return_inverse=True)
    if len(present) == 0:
        raise PartitionError(
            f"no usable pixel lies in any ring; q on the detector is "
            f"{q.min():.4g} .. {q.max():.4g} 1/angstrom"
        )
    roi_map = np.zeros(bins.shape, np.int32)
    roi_map[bins >= 0] = label + 1
    q_values = np.bincount(label, weights=q[bins >= 0]) / np.bincount(label)
    phi_values = (present % n_phi + 0.5) * 360.0 / n_phi
    if n_phi == 1:
        phi_values = np.full(len(present), np.nan)
    static_map = static_bins_along(roi_map, q, n_static)
    return QPartition(roi_map, q_values, phi_values, static_map)


def _checked_map(name: str, labels: NDArray[np.generic]) -> NDArray[np.int32]:
    if labels.ndim != 2 or labels.size == 0:
        raise PartitionError(
            f"{name} must have shape (n_rows, n_cols), got {labels.shape}"
        )
    if labels.dtype.kind not in "iu":
        raise PartitionError(f"{name} must hold integers, got {labels.dtype}")
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest >= 2**31:
        raise PartitionError(
            f"{name} labels must lie in 0 .. 2^31 - 1, got {lowest} .. {highest}"
        )
    return np.array(labels, dtype=np.int32, order="C")


def _checked_values(name: str, values: ArrayLike) -> NDArray[np.float64]:
    array = np.array(values, dtype=np.float64)
    if array.ndim != 1:
        raise PartitionError(f"{name} must have shape (n_q_bins,), got {array.shape}")
    return array


def _check_labels(roi_map: NDArray[np.int32], n_q_bins: int) -> None:
    if n_q_bins == 0:
        raise PartitionError("q_values is empty: a partition has at least one bin")
    labels = np.unique(roi_map)
    labels = labels[labels > 0]
    missing = np.setdiff1d(np.arange(1, n_q_bins + 1), labels)
    if len(missing) > 0:
        raise PartitionError(
            f"roi_map has no pixel of q-bin {missing[0]}, q_values names {n_q_bins}"
        )
    if labels[-1] > n_q_bins:
        raise PartitionError(
            f"roi_map has label {labels[-1]}, q_values only {n_q_bins} entries"
        )


def _checked_edges(q_edges: ArrayLike) -> NDArray[np.float64]:
    edges = np.asarray(q_edges, dtype=np.float64)
    if edges.ndim != 1 or len(edges) < 2:
        raise PartitionError(
            f"q_edges must have shape (n_rings + 1,), got {edges.shape}"
        )
    if not (np.isfinite(edges).all() and (np.diff(edges) > 0).all() and edges[0] >= 0):
        raise PartitionError(f"q_edges must rise from a value >= 0, got {edges}")
    return edges
