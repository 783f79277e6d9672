import numpy as np
import pytest

from ainerd_bluesky.xpcs.data.roi import QPartition
from tiled_adapters.formats.orientation import laid_on

LABELS = np.array([[1, 1, 0], [0, 2, 2]])
Q_VALUES, PHI_VALUES = np.array([0.1, 0.2]), np.full(2, np.nan)
PARTITION = QPartition(LABELS, Q_VALUES, PHI_VALUES, static_map=LABELS + 1)


def test_transposed_partition_is_turned():
    turned = laid_on(PARTITION, (3, 2))
    np.testing.assert_array_equal(turned.roi_map, LABELS.T)
    np.testing.assert_array_equal(turned.static_map, LABELS.T + 1)
    assert turned.q_values.tolist() == [0.1, 0.2]


@pytest.mark.parametrize("shape", [(2, 3), (7, 7)], ids=["fits", "fits-neither-way"])
def test_other_partition_is_left_alone(shape):
    assert laid_on(PARTITION, shape) is PARTITION


def test_partition_without_static_bins_is_turned():
    assert laid_on(QPartition([[1, 0]], [0.1], [0.0]), (2, 1)).static_map is None
