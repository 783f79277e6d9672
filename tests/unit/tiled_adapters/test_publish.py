import numpy as np
import pytest

from ainerd_bluesky.errors import ConfigError
from tiled_adapters.publish import _as_frame, _chunks, check_key


@pytest.mark.parametrize("key", ["xpcs-0123456789ab", "a.b_c-d", "8"])
def test_good_name_passes(key):
    check_key(key)


@pytest.mark.parametrize("key", ["", ".", "..", "a/b", "a b", "ä", "a\n"])
def test_bad_name_is_refused(key):
    with pytest.raises(ConfigError, match="letters, digits"):
        check_key(key)


@pytest.mark.parametrize(
    ("shape", "is_map", "chunks"),
    [
        ((3, 600, 600), True, ((1, 1, 1), (600,), (600,))),
        ((1, 1500, 1500), True, ((1,), (1000, 500), (1000, 500))),
        ((3, 40), False, ((3,), (40,))),
        ((40,), False, ((40,),)),
    ],
)
def test_chunks_of_a_map_are_one_q_bin_of_4_mb(shape, is_map, chunks):
    assert _chunks(shape, is_map=is_map) == chunks


def test_unknown_numbers_become_nan_and_texts_stay():
    frame = _as_frame({"rate": [1, None], "unknown": [None, None], "label": ["a", "b"]})
    assert frame["rate"].isna().tolist() == [False, True]
    assert frame["unknown"].dtype == np.float64
    assert frame["label"].tolist() == ["a", "b"]
