import dataclasses

import numpy as np
import pytest

from ainerd_bluesky.ml.classification import Classification
from ainerd_bluesky.vocabulary import Label
from ainerd_bluesky.xpcs.quality.checks import Quality

REFUSED = Classification.refused(Quality.refusal("nan", "half of it is nan"), 8)


def test_refused_map_is_invalid_with_reasons():
    assert REFUSED.label == Label.INVALID
    assert REFUSED.confidence == 1.0
    assert REFUSED.quality.reasons == ("half of it is nan",)


def test_refused_map_has_no_class_of_dynamics():
    assert REFUSED.probabilities == {}
    assert REFUSED.cluster == -1
    assert REFUSED.novelty == 1.0
    np.testing.assert_array_equal(REFUSED.embedding, np.zeros(8, np.float32))


def test_answers_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        REFUSED.label = "aging"
