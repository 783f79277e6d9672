"""Values that any JSON reader takes."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ainerd_bluesky.json_values import as_json


@given(
    st.recursive(
        st.floats(allow_nan=True, allow_infinity=True) | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_metadata_is_always_strict_json(value):
    json.dumps(as_json(value), allow_nan=False)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (float("nan"), None),
        (np.float32(0.5), 0.5),
        (np.array([1.0, np.inf]), [1.0, None]),
        ({1: (True, None)}, {"1": [True, None]}),
        (Path("/a"), "/a"),
        (np.bool_(True), True),
    ],
    ids=str,
)
def test_value_becomes_plain(value, plain):
    assert as_json(value) == plain
