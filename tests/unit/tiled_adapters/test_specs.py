import numpy as np
import pytest
from tiled.structures.array import ArrayStructure, BuiltinDtype
from tiled.validation_registration import ValidationError

from tiled_adapters.specs import (
    MODEL,
    RESULT,
    TWO_TIME,
    validate_model,
    validate_result,
    validate_two_time,
)

GOOD = {"run_uid": "x", "status": "writing"}
BEGUN = {
    "name": "m",
    "version": "1",
    "sha256": "0",
    "format_version": 1,
    "status": "writing",
}
CHANGE = {"stage": "candidate", "who": "me", "when": "now", "why": "so"}
WHOLE = {
    **BEGUN,
    "status": "complete",
    "stage": "candidate",
    "history": [CHANGE],
    "card": {},
}


@pytest.mark.parametrize(
    "metadata",
    [GOOD, {**GOOD, "status": "complete", "confidence": 0.5}, None],
    ids=["writing", "complete", "untouched"],
)
def test_good_result_passes(metadata):
    validate_result(RESULT, metadata, None, "container", None)


@pytest.mark.parametrize(
    ("metadata", "family", "message"),
    [
        (GOOD, "array", "must be a container"),
        ({"status": "writing"}, "container", "run_uid"),
        ({"run_uid": "x"}, "container", "status"),
        ({**GOOD, "confidence": -1}, "container", "0..1"),
    ],
)
def test_bad_result_is_refused(metadata, family, message):
    with pytest.raises(ValidationError, match=message):
        validate_result(RESULT, metadata, None, family, None)


@pytest.mark.parametrize(
    ("shape", "is_good"),
    [((4, 4), True), ((2, 4, 4), True), ((4, 5), False), ((4,), False)],
)
def test_map_must_be_square(shape, is_good):
    structure = ArrayStructure(
        data_type=BuiltinDtype.from_numpy_dtype(np.dtype("f4")),
        shape=shape,
        chunks=tuple((n,) for n in shape),
    )
    if is_good:
        validate_two_time(TWO_TIME, {}, None, "array", structure)
    else:
        with pytest.raises(ValidationError, match="must be square"):
            validate_two_time(TWO_TIME, {}, None, "array", structure)


def test_map_must_be_an_array():
    with pytest.raises(ValidationError, match="must be an array"):
        validate_two_time(TWO_TIME, {}, None, "container", None)


@pytest.mark.parametrize("metadata", [BEGUN, WHOLE, None], ids=["begun", "whole", "-"])
def test_good_model_passes(metadata):
    validate_model(MODEL, metadata, None, "container", None)


@pytest.mark.parametrize(
    ("metadata", "family", "message"),
    [
        (WHOLE, "array", "must be a container"),
        ({**BEGUN, "sha256": ""}, "container", r"needs \['sha256'\]"),
        ({**BEGUN, "status": "done"}, "container", "status must be"),
        ({**WHOLE, "stage": "best"}, "container", "stage must be .* got 'best'"),
        ({**WHOLE, "history": []}, "container", "must list changes"),
        ({**WHOLE, "history": [{"stage": "retired"}]}, "container", "says .*'why'"),
        ({**WHOLE, "card": None}, "container", "needs a card"),
    ],
)
def test_bad_model_is_refused(metadata, family, message):
    with pytest.raises(ValidationError, match=message):
        validate_model(MODEL, metadata, None, family, None)
