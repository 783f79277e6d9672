"""The step that keeps a decision never undoes the result of its run."""

import logging

import httpx
import pytest
from tiled.client.utils import ClientError

from ainerd_bluesky.config import BeamlineConfig
from ainerd_bluesky.selection.decisions import Decision
from flows import decisions
from flows.decisions import keep_decision

DECISION = Decision(0, "a", {}, "novelty", 1.0, 0.0, "a: so.", {}, (), 1, 0, "0" * 64)
START = {"uid": "u", "campaign": "night", "decision": DECISION.as_json()}


@pytest.fixture
def config():
    return BeamlineConfig(
        name="b", detector={"field": "eiger"}, partition={"path": "partition.h5"}
    )


@pytest.fixture
def publisher(monkeypatch):
    """Replace the publisher by one that raises, or remembers what it got."""

    def replace(error=None):
        published = []

        class Publisher:
            def __init__(self, root, results):
                published.append(results)

            def publish(self, made):
                if error is not None:
                    raise error
                published.append(made)
                return made.path

        monkeypatch.setattr(decisions, "DecisionsPublisher", Publisher)
        return published

    return replace


def answer(code):
    request = httpx.Request("GET", "http://tiled")
    response = httpx.Response(code, request=request)
    return ClientError(f"answered {code}", request=request, response=response)


def test_a_decision_goes_beside_the_results_of_the_beamline(config, publisher):
    published = publisher()
    assert keep_decision(START, config, None) == f"night/{DECISION.key}"
    assert published[0] == config.catalog.processed
    assert published[1].decision == DECISION.of_run("u")


def test_a_run_that_nobody_decided_asks_the_catalog_nothing(config, publisher):
    published = publisher()
    assert keep_decision({"uid": "u"}, config, None) is None
    assert published == []


@pytest.mark.parametrize(
    ("changes", "error", "level", "words"),
    [
        ({"decision": {"number": 0}}, None, logging.WARNING, "not a decision"),
        ({}, answer(403), logging.ERROR, "answered 403"),
        ({}, AttributeError("a table is no container"), logging.ERROR, "a table"),
    ],
    ids=["malformed", "refused", "odd node"],
)
def test_what_stays_wrong_is_logged_and_the_run_goes_on(
    config, publisher, caplog, changes, error, level, words
):
    publisher(error)
    assert keep_decision({**START, **changes}, config, None) is None
    (record,) = caplog.records
    assert record.levelno == level
    assert "run u: its decision is not kept" in record.getMessage()
    assert words in caplog.text


def test_a_lost_connection_is_worth_another_try(config, publisher):
    publisher(httpx.ConnectError("gone"))
    with pytest.raises(httpx.ConnectError):
        keep_decision(START, config, None)
