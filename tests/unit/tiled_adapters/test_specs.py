import numpy as np
import pytest
from tiled.structures.array import ArrayStructure, BuiltinDtype
from tiled.validation_registration import ValidationError

from ainerd_bluesky.ml.naming import Naming
from tiled_adapters.specs import (
    CLUSTERS,
    MODEL,
    MODEL_DECISION,
    NAMING,
    RESULT,
    TWO_TIME,
    validate_clusters,
    validate_decision,
    validate_model,
    validate_result,
    validate_two_time,
)
from tiled_adapters.vocabulary import validate_naming

GOOD = {"run_uid": "x", "status": "writing"}
BEGUN = {
    "name": "m",
    "version": "1",
    "sha256": "0",
    "format_version": 1,
    "n_bytes": 8,
    "status": "writing",
}
REGISTERED = {"who": "me", "when": "now", "why": "so"}
DECISION = {"version": "1", "action": "promote", **REGISTERED}
WHOLE = {
    **BEGUN,
    "status": "complete",
    "stage": "candidate",
    "registered": REGISTERED,
    "card": {"sha256": "0"},
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
        ({**BEGUN, "n_bytes": 10**12}, "container", "n_bytes must be"),
        ({**WHOLE, "registered": {"who": "me"}}, "container", "says .*'why'"),
        (
            {**WHOLE, "registered": {**REGISTERED, "odd": ""}},
            "container",
            "says .*'why'",
        ),
        ({**WHOLE, "card": None}, "container", "needs a card"),
    ],
)
def test_bad_model_is_refused(metadata, family, message):
    with pytest.raises(ValidationError, match=message):
        validate_model(MODEL, metadata, None, family, None)


FOUND = {
    "status": "complete",
    **dict.fromkeys(
        ("model_sha256", "next_id", "query", "parent", "previous", "published")
    ),
}
ACT = {
    "number": 0,
    "naming": Naming("name", "gel", "ann", "now", mean=(1.0,), n_examples=1).to_json(),
}


@pytest.mark.parametrize(
    ("validate", "spec", "metadata"),
    [
        (validate_clusters, CLUSTERS, {"status": "writing"}),
        (validate_clusters, CLUSTERS, FOUND),
        (validate_naming, NAMING, ACT),
    ],
    ids=["begun", "found", "act"],
)
def test_good_cluster_or_act_passes(validate, spec, metadata):
    validate(spec, metadata, None, "container", None)


@pytest.mark.parametrize(
    ("validate", "spec", "metadata", "message"),
    [
        (validate_clusters, CLUSTERS, {}, "status must be"),
        (validate_clusters, CLUSTERS, {"status": "complete"}, "needs .*'next_id'"),
        (validate_naming, NAMING, {**ACT, "number": None}, "needs a number"),
        (validate_naming, NAMING, {"number": 0}, "no act of naming"),
        (validate_naming, NAMING, {**ACT, "naming": "gel"}, "cannot be stored"),
    ],
)
def test_bad_cluster_or_act_is_refused(validate, spec, metadata, message):
    with pytest.raises(ValidationError, match=message):
        validate(spec, metadata, None, "container", None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, None),
        ({"odd": "x"}, "decision says"),
        ({"why": 1}, "must consist of texts"),
        ({"action": "praise"}, "action must be one of"),
    ],
    ids=["good", "extra", "number", "action"],
)
def test_decision_says_what_who_when_and_why(change, message):
    metadata = {"number": 0, "decision": {**DECISION, **change}}
    if message is None:
        validate_decision(MODEL_DECISION, metadata, None, "container", None)
        return
    with pytest.raises(ValidationError, match=message):
        validate_decision(MODEL_DECISION, metadata, None, "container", None)
