import numpy as np
import pytest

from ainerd_bluesky.errors import ModelError
from ainerd_bluesky.ml.measured_maps import (
    ChxCrops,
    is_held_out,
    load_chx_crops,
    measured_groups,
)


@pytest.fixture
def crops():
    names = np.array([f"experiment{number}" for number in range(40)])
    delay = np.abs(np.subtract.outer(np.arange(50), np.arange(50)))
    return ChxCrops(
        crops=np.repeat(1 + np.exp(-delay / 10)[None], 80, axis=0).astype(np.float32),
        target_index=np.repeat(np.arange(40), 2),
        experiments=np.repeat(names, 2),
        log_rate=np.full(80, -1.0),
    )


def test_held_out_experiments_are_not_learned_from(crops):
    groups = measured_groups(crops, 64)

    assert 0 < crops.is_held_out.sum() < 40
    assert len(groups.samples) == (~crops.is_held_out).sum()
    assert set(np.unique(groups.groups, return_counts=True)[1]) == {2}


def test_one_in_five_is_held_out():
    held_out = [is_held_out(str(number)) for number in range(2000)]

    # standard error of the share: 0.009
    assert np.mean(held_out) == pytest.approx(0.2, abs=0.03)


def test_folder_without_crops(tmp_path):
    with pytest.raises(ModelError, match="holds no CHX crops"):
        load_chx_crops(tmp_path)


def test_measured_rates_are_known_for_most(shared_data):
    crops = load_chx_crops(shared_data)

    known = crops.log_rate[np.isfinite(crops.log_rate)]
    assert len(np.unique(crops.target_index[np.isfinite(crops.log_rate)])) == 420
    assert np.log10(1 / 150) < known.min() < known.max() < 0
