import math

import numpy as np
import pytest

from ainerd_bluesky.errors import ConfigError
from tiled_adapters.run_properties import stream_means


class Field:
    def __init__(self, *readings):
        self.readings = readings

    def read(self):
        return list(self.readings)


RAW = {
    "a": {"baseline/motor": Field(1.0, 3.0), "baseline/mode": Field("off")},
    "b": {"baseline/motor": Field(5.0, math.nan, math.inf)},
    "c": {"baseline/motor": Field(math.nan)},
    "d": {"baseline/motor": Field()},
}


def test_means_are_of_finite_readings():
    told = []
    means = stream_means(
        RAW, ["e", *RAW], "baseline/motor", lambda *counts: told.append(counts)
    )
    np.testing.assert_array_equal(means, [math.nan, 2.0, 5.0, math.nan, math.nan])
    assert told == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


@pytest.mark.parametrize(
    ("raw", "name", "message"),
    [
        (RAW, "baseline/pump", "none of 4 runs has a field 'baseline/pump'"),
        ({"c": RAW["c"]}, "baseline/motor", "none of 4 runs .* with a finite reading"),
        (None, "baseline/motor", "none of 4 runs has a field 'baseline/motor'"),
        (RAW, "baseline/mode", "baseline/mode of run a holds no numbers"),
    ],
    ids=["no field", "nothing finite", "no runs", "text"],
)
def test_field_that_cannot_be_used(raw, name, message):
    with pytest.raises(ConfigError, match=message):
        stream_means(raw, list("abcd"), name)
