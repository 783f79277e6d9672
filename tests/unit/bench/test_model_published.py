import math

import pytest

pytest.importorskip("torch")

from ainerd_bluesky.bench.model_published import load_published, side_by_side
from ainerd_bluesky.bench.model_rows import ModelRow
from ainerd_bluesky.errors import ModelError


def measure(value):
    """Stand in for minutes of work: the model is its figure."""
    return [
        ModelRow("known", value, 0.3, baselines={"g2": 0.1}),
        ModelRow("unknown", note="why"),
    ]


def test_without_a_baseline_rows_are_those_of_the_model():
    assert side_by_side(measure, 0.2, None) == measure(0.2)


def test_baseline_stands_beside_the_others():
    known, unknown = side_by_side(measure, 0.2, 0.5)

    assert (known.value, known.baselines) == (0.2, {"g2": 0.1, "AI-NERD": 0.5})
    assert math.isnan(unknown.value)
    assert unknown.baselines == {}


def test_model_of_another_architecture_is_no_baseline():
    with pytest.raises(ModelError, match=r"no baseline: .*--preset published"):
        load_published("shipped")
