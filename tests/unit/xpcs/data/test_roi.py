"""Partitions: geometry, labels and what is refused."""

from itertools import pairwise

import numpy as np
import pytest

from ainerd_bluesky.errors import PartitionError
from ainerd_bluesky.xpcs import QPartition, ring_partition

GEOMETRY = {
    "beam_center": (20.0, 30.0),
    "pixel_size": 75e-6,
    "distance": 5.0,
    "wavelength": 1.5,
}
NAN = float("nan")


def q_of(row, col):
    """Momentum transfer of one pixel, by the formula."""
    radius = np.hypot(row - 20.0, col - 30.0) * 75e-6
    return 4 * np.pi / 1.5 * np.sin(np.arctan(radius / 5.0) / 2)


def test_every_pixel_of_a_ring_lies_between_its_edges():
    edges = [q_of(20, 35), q_of(20, 40), q_of(20, 50)]
    partition = ring_partition((41, 61), q_edges=edges, **GEOMETRY)
    rows, cols = np.indices((41, 61))
    q = q_of(rows, cols)
    for label, (low, high) in enumerate(pairwise(edges), start=1):
        assert np.array_equal(partition.roi_map == label, (q >= low) & (q < high))


def test_q_value_is_the_mean_over_the_ring():
    partition = ring_partition(
        (41, 61), q_edges=[q_of(20, 35), q_of(20, 40)], **GEOMETRY
    )
    rows, cols = np.nonzero(partition.roi_map == 1)
    assert partition.q_values[0] == pytest.approx(q_of(rows, cols).mean(), rel=1e-12)


def test_whole_rings_have_no_azimuth():
    partition = ring_partition(
        (41, 61), q_edges=[q_of(20, 35), q_of(20, 40)], **GEOMETRY
    )
    assert np.isnan(partition.phi_values).all()


@pytest.mark.parametrize(
    ("row", "col", "sector"),
    [(18, 38, 1), (12, 28, 2), (22, 22, 3), (28, 32, 4)],
    ids=["right-up", "up-left", "left-down", "down-right"],
)
def test_sectors_count_counter_clockwise_from_rising_columns(row, col, sector):
    partition = ring_partition(
        (41, 61), q_edges=[q_of(20, 35), q_of(20, 45)], n_phi=4, **GEOMETRY
    )
    assert partition.roi_map[row, col] == sector
    assert partition.phi_values.tolist() == [45.0, 135.0, 225.0, 315.0]


def test_masked_pixels_are_not_used():
    mask = np.ones((41, 61), bool)
    mask[:, 35:] = False
    partition = ring_partition(
        (41, 61), q_edges=[q_of(20, 33), q_of(20, 45)], mask=mask, **GEOMETRY
    )
    assert not partition.roi_map[~mask].any()


def test_rings_without_pixels_leave_no_gap_in_the_labels():
    edges = [q_of(20, 31) / 3, q_of(20, 31) / 2, q_of(20, 35), 1.0]
    partition = ring_partition((41, 61), q_edges=edges, **GEOMETRY)
    assert partition.n_q_bins == 2
    assert set(np.unique(partition.roi_map)) == {0, 1, 2}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"q_edges": [0.1]}, r"n_rings \+ 1,\), got \(1,\)"),
        ({"q_edges": [0.2, 0.1]}, "must rise"),
        ({"q_edges": [5.0, 6.0]}, "no usable pixel"),
        ({"distance": 0.0}, "distance must be positive, got 0.0"),
        ({"pixel_size": NAN}, "pixel_size must be positive, got nan"),
        ({"n_phi": 0}, "n_phi must be positive, got 0"),
        ({"mask": np.ones((2, 2), bool)}, r"mask has shape \(2, 2\)"),
    ],
)
def test_geometry_that_cannot_be_used_is_named(change, message):
    arguments = {**GEOMETRY, "q_edges": [q_of(20, 35), q_of(20, 40)], **change}
    with pytest.raises(PartitionError, match=message):
        ring_partition((41, 61), **arguments)


@pytest.mark.parametrize(
    ("roi_map", "q_values", "phi_values", "message"),
    [
        ([0, 1], [0.1], [NAN], r"shape \(n_rows, n_cols\), got \(2,\)"),
        ([[0.5]], [0.1], [NAN], "must hold integers, got float64"),
        ([[-1, 1]], [0.1], [NAN], "got -1 .. 1"),
        ([[1, 3]], [0.1, 0.2, 0.3], [NAN] * 3, "no pixel of q-bin 2"),
        ([[1, 2]], [0.1], [NAN], "has label 2"),
        ([[1]], [NAN], [NAN], "q_values must be finite"),
        ([[1]], [-0.1], [NAN], "q_values must be finite and >= 0"),
        ([[1]], [0.1], [NAN, NAN], "phi_values has 2 entries, q_values 1"),
        ([[0]], [], [], "q_values is empty"),
    ],
)
def test_partition_that_does_not_fit_together_is_refused(
    roi_map, q_values, phi_values, message
):
    with pytest.raises(PartitionError, match=message):
        QPartition(np.array(roi_map), q_values, phi_values)


def test_hash_does_not_depend_on_the_integer_type():
    labels = np.array([[0, 1], [2, 2]])
    hashes = {
        QPartition(labels.astype(dtype), [0.1, 0.2], [NAN, NAN]).sha256
        for dtype in (np.uint8, np.int64, ">i4")
    }
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("labels", "q_values", "phi_values"),
    [
        ([[1, 0], [2, 2]], [0.1, 0.2], [NAN, NAN]),
        ([[0, 1, 2, 2]], [0.1, 0.2], [NAN, NAN]),
        ([[0, 1], [2, 2]], [0.1, 0.3], [NAN, NAN]),
        ([[0, 1], [2, 2]], [0.1, 0.2], [NAN, 90.0]),
    ],
    ids=["labels", "shape", "q", "phi"],
)
def test_hash_tells_partitions_apart(labels, q_values, phi_values):
    one = QPartition(np.array([[0, 1], [2, 2]]), [0.1, 0.2], [NAN, NAN])
    other = QPartition(np.array(labels), q_values, phi_values)
    assert one.sha256 != other.sha256


def test_partition_cannot_be_changed_afterwards():
    labels = np.array([[0, 1], [2, 2]])
    partition = QPartition(labels, [0.1, 0.2], [NAN, NAN])
    labels[0, 0] = 2
    assert partition.roi_map[0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        partition.roi_map[0, 0] = 1


def test_static_bins_lie_inside_of_q_bins_and_narrow_them():
    edges = [q_of(20, 32), q_of(20, 50)]
    partition = ring_partition((41, 61), q_edges=edges, n_static=5, **GEOMETRY)
    static_map = partition.static_map
    assert np.array_equal(static_map > 0, partition.roi_map > 0)
    rows, cols = np.indices((41, 61))
    q = q_of(rows, cols)
    highest = [q[static_map == label].max() for label in range(1, 6)]
    lowest = [q[static_map == label].min() for label in range(1, 6)]
    assert all(high < low for high, low in zip(highest, lowest[1:], strict=False))
    sizes = np.bincount(static_map.ravel())[1:]
    assert sizes.min() > 0.8 * sizes.mean()


def test_small_bin_is_one_static_bin():
    edges = [q_of(20, 32), q_of(20, 34)]
    partition = ring_partition((41, 61), q_edges=edges, n_static=5, **GEOMETRY)
    assert partition.static_map.max() == 1


def test_static_bins_belong_to_the_hash():
    roi_map = np.array([[1, 1, 2]])
    plain = QPartition(roi_map, [0.1, 0.2], [NAN, NAN])
    divided = QPartition(roi_map, [0.1, 0.2], [NAN, NAN], np.array([[1, 2, 3]]))
    assert plain.sha256 != divided.sha256


def test_static_map_of_another_shape_is_refused():
    with pytest.raises(PartitionError, match=r"static_map has shape \(1, 2\)"):
        QPartition(np.array([[1, 1, 2]]), [0.1, 0.2], [NAN] * 2, np.array([[1, 2]]))
