"""Our selector inside blop and bluesky-adaptive, by their own interfaces."""

import importlib
import json

import pytest
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp

from ainerd_bluesky.agents import SelectorOptimizer
from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection import Decision
from tests.unit.agents.conftest import make_selector, summary

PACKAGES = ["blop", "bluesky_adaptive"]


def make_optimizer(summaries=None, n_candidates=4, **settings):
    summaries = {} if summaries is None else summaries
    return SelectorOptimizer(
        make_selector(n_candidates), "stage", summaries.get, **settings
    )


def test_a_point_names_sample_conditions_and_decision():
    [point] = make_optimizer().suggest()
    decision = Decision.from_json(json.loads(point["decision"]))
    assert point["_id"] == point["stage"] == decision.chosen
    assert point["x0"] == decision.coordinates["x0"]


def test_points_of_one_breath_differ():
    points = make_optimizer().suggest(3)
    assert len({point["_id"] for point in points}) == 3


def test_what_was_evaluated_is_learned_whole():
    results = {"run-1": summary("run-1", physics={"relaxation_rate": 2.0})}
    optimizer = make_optimizer(results)
    points = optimizer.suggest()
    outcomes = optimizer.evaluate("run-1", points)
    optimizer.ingest(outcomes)
    [seen] = optimizer.selector.observations
    assert outcomes[0]["label"] == seen.label == "aging"
    assert seen.physics == {"relaxation_rate": 2.0}
    assert optimizer.selector.pending == ()


def test_a_result_that_nobody_suggested_is_learned_too():
    optimizer = make_optimizer()
    optimizer.ingest([{"_id": "S1", **summary("run-9")}])
    assert [seen.name for seen in optimizer.selector.observations] == ["S1"]


def test_a_word_outside_the_vocabulary_is_learned_as_what_the_model_says():
    named = {"model_label": "aging", "probabilities": {"aging": 0.2, "foam": 0.8}}
    optimizer = make_optimizer({"run-1": summary("run-1", "foam", **named)})
    outcomes = optimizer.evaluate("run-1", optimizer.suggest())
    optimizer.ingest(outcomes)
    assert outcomes[0]["label"] == "aging"
    assert [seen.label for seen in optimizer.selector.observations] == ["aging"]


def test_failures_are_released():
    optimizer = make_optimizer()
    points = optimizer.suggest(2)
    optimizer.register_failures([*points, {"_id": "somebody else's"}])
    assert optimizer.selector.pending == ()


def test_it_wants_to_stop_when_all_is_measured():
    optimizer = make_optimizer(n_candidates=1)
    assert optimizer.should_stop() == (False, None)
    optimizer.suggest()
    assert optimizer.should_stop()[0]
    with pytest.raises(SelectionError, match="no candidate is left"):
        optimizer.suggest()


def test_the_most_novel_accepted_result_is_the_best():
    optimizer = make_optimizer()
    assert optimizer.get_best_points() == []
    optimizer.ingest([{"_id": "S0", **summary("r0", novelty=0.9, label="invalid")}])
    optimizer.ingest([{"_id": "S1", **summary("r1", novelty=0.8)}])
    optimizer.ingest([{"_id": "S2", **summary("r2", novelty=0.1)}])
    [(name, place, outcome)] = optimizer.get_best_points()
    assert (name, place, outcome["novelty"]) == ("S1", {"stage": "S1"}, 0.8)


def test_a_checkpoint_saves_the_selector():
    saved = []
    optimizer = make_optimizer(save=saved.append)
    optimizer.checkpoint()
    assert saved == [optimizer.selector]


@pytest.mark.parametrize(
    ("uid", "n_points", "message"),
    [("run-1", 2, "one point at a time"), ("run-2", 1, "no label after 0 s")],
)
def test_a_run_that_cannot_be_evaluated_is_an_error(uid, n_points, message):
    optimizer = make_optimizer({"run-1": summary("run-1")}, timeout=0.0)
    points = optimizer.suggest(n_points)
    with pytest.raises(SelectionError, match=message):
        optimizer.evaluate(uid, points)


def test_outcomes_without_a_candidate_are_an_error():
    with pytest.raises(SelectionError, match="need '_id'"):
        make_optimizer().ingest([summary("run-1")])


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize(
    "protocol",
    ["Optimizer", "TrialFaultAware", "SupportsStoppingCriteria", "Checkpointable"],
)
def test_it_is_what_the_packages_ask_for(package, protocol):
    pytest.importorskip(package)
    protocols = importlib.import_module(f"{package}.protocols")
    optimizer = make_optimizer()
    assert isinstance(optimizer, getattr(protocols, protocol))
    assert isinstance(optimizer.evaluate, protocols.EvaluationFunction)


class Stage:
    """The least that has a name and moves."""

    name = "stage"
    parent = None

    def set(self, value):
        raise NotImplementedError


@pytest.mark.parametrize("package", PACKAGES)
def test_their_own_plan_measures_every_candidate(package):
    pytest.importorskip(package)
    protocols = importlib.import_module(f"{package}.protocols")
    plans = importlib.import_module(f"{package}.plans")
    results, starts = {}, []
    optimizer = make_optimizer(results)

    def measure(suggestions, actuators, sensors=None, md=None):
        [point] = suggestions
        decision = json.loads(point["decision"])
        told = {"sample": point["stage"], "decision": decision}
        run = bpp.run_wrapper(bps.null(), md=told)
        run_uid = yield from bpp.set_run_key_wrapper(run, "measurement")
        results[run_uid] = summary(run_uid)
        return run_uid

    problem = protocols.OptimizationProblem(
        optimizer, [Stage()], [], optimizer.evaluate, measure
    )
    RE = RunEngine({}, call_returns_result=False)
    RE.subscribe(lambda _, doc: starts.append(doc), "start")
    RE(plans.optimize(problem, iterations=None))
    measured = [doc["sample"] for doc in starts if "sample" in doc]
    assert sorted(measured) == ["S0", "S1", "S2", "S3"]
    assert [seen.name for seen in optimizer.selector.observations] == measured
