"""Results in a real catalog: complete or not there, once however often published."""

import threading

import numpy as np
import pytest
from tiled.client.utils import ClientError
from tiled.queries import Key

from ainerd_bluesky.errors import ConfigError
from tiled_adapters.publish import ResultsPublisher

pytestmark = pytest.mark.integration


def test_published_arrays_come_back_unchanged(results, make_analysis):
    analysis = make_analysis()
    key = ResultsPublisher(results).publish(analysis)
    result = results[analysis.run_uid][key]
    for name, array in analysis.arrays.items():
        np.testing.assert_array_equal(result[name].read(), array)
        assert result[name].dtype == array.dtype


def test_maps_are_stored_one_q_bin_a_chunk(results, make_analysis):
    analysis = make_analysis()
    ResultsPublisher(results).publish(analysis)
    assert results[analysis.run_uid]["two_time"].chunks[0] == (1, 1)


def test_large_map_is_stored_in_chunks_of_4_mb(results, make_analysis):
    analysis = make_analysis()
    large = np.random.default_rng(0).random((2, 2100, 2100), dtype=np.float32)
    analysis.arrays["two_time"] = large
    ResultsPublisher(results).publish(analysis)
    node = results[analysis.run_uid]["two_time"]
    assert node.chunks == ((1, 1), (1000, 1000, 100), (1000, 1000, 100))
    np.testing.assert_array_equal(node[1, ::500], large[1, ::500])


def test_table_of_bins_has_nan_where_unknown(results, make_analysis):
    analysis = make_analysis()
    ResultsPublisher(results).publish(analysis)
    bins = results[analysis.run_uid].result.bins
    assert bins["label"].tolist() == ["aging", "aging"]
    assert bins["relaxation_rate"].isna().tolist() == [False, True]


def test_label_is_found_after_publishing(results, make_analysis):
    analysis = make_analysis()
    ResultsPublisher(results).publish(analysis)
    found = results.search(Key("label") == "aging").search(
        Key("run_uid") == analysis.run_uid
    )
    assert list(found) == [analysis.run_uid]


def test_not_a_number_becomes_none_in_metadata(results, make_analysis):
    analysis = make_analysis(
        physics={"relaxation_time": float("nan")}, score=np.float32(0.5)
    )
    ResultsPublisher(results).publish(analysis)
    metadata = results[analysis.run_uid].metadata
    assert metadata["physics"] == {"relaxation_time": None}
    assert metadata["score"] == 0.5


def test_publishing_again_changes_nothing(results, make_analysis):
    analysis = make_analysis()
    ResultsPublisher(results).publish(analysis)
    run = results[analysis.run_uid]
    before = run.metadata, run.result.metadata, len(run.metadata_revisions[:])
    ResultsPublisher(results).publish(analysis)
    run = results[analysis.run_uid]
    assert (run.metadata, run.result.metadata, len(run.metadata_revisions[:])) == before


def test_refused_run_has_a_label_and_no_arrays(results, make_analysis):
    analysis = make_analysis("invalid", confidence=1.0, probabilities={})
    analysis.arrays.clear()
    analysis.bins.clear()
    ResultsPublisher(results).publish(analysis)
    run = results[analysis.run_uid]
    assert run.label == "invalid"
    assert list(run.result) == []


def test_half_written_result_is_not_found_and_then_repaired(results, make_analysis):
    analysis = make_analysis()
    publisher = ResultsPublisher(results)
    key = publisher.publish(analysis)
    # What a crash leaves: containers, one array of zeros, one of another shape.
    results.delete_contents(analysis.run_uid, recursive=True, external_only=False)
    state = {"run_uid": analysis.run_uid, "status": "writing"}
    run = results.create_container(
        analysis.run_uid, metadata=state, specs=["XPCSResults"]
    )
    result = run.create_container(key, metadata=state, specs=["XPCSResult"])
    result.write_array(np.zeros_like(analysis.arrays["two_time"]), key="two_time")
    result.write_array(np.zeros(3), key="g2")
    query = results.search(Key("run_uid") == analysis.run_uid)
    assert len(query.search(Key("label") == "aging")) == 0

    publisher.publish(analysis)

    for name, array in analysis.arrays.items():
        np.testing.assert_array_equal(results[analysis.run_uid, key, name][:], array)
    assert results[analysis.run_uid].label == "aging"


def test_crash_before_the_summary_is_made_good(results, make_analysis):
    analysis = make_analysis()
    publisher = ResultsPublisher(results)
    publisher.publish(analysis)
    state = {"run_uid": analysis.run_uid, "status": "writing"}
    results[analysis.run_uid].replace_metadata(state)
    publisher.publish(analysis)
    assert results[analysis.run_uid].label == "aging"


def test_another_recipe_becomes_current_and_leaves_no_trace_of_the_old(
    results, make_analysis
):
    first = make_analysis("aging")
    second = make_analysis(
        "intermittent",
        run_uid=first.run_uid,
        n=2,
        probabilities={"intermittent": 1.0},
    )
    publisher = ResultsPublisher(results)
    keys = [publisher.publish(first), publisher.publish(second)]
    run = results[first.run_uid]
    assert set(run) == set(keys)
    assert run.metadata["current"] == keys[1]
    assert run.metadata["probabilities"] == {"intermittent": 1.0}
    history = [item["metadata"]["label"] for item in _revisions(run)]
    assert history == ["aging"]


def test_publishing_an_earlier_result_again_brings_its_label_back(
    results, make_analysis
):
    first = make_analysis("aging")
    second = make_analysis("static", run_uid=first.run_uid, n=2)
    publisher = ResultsPublisher(results)
    for analysis in (first, second, first):
        publisher.publish(analysis)
    assert results[first.run_uid].label == "aging"


def test_racing_publishers_leave_one_consistent_result(connect, results, make_analysis):
    analysis = make_analysis()
    errors = []

    def publish():
        try:
            ResultsPublisher(connect()["processed/xpcs"]).publish(analysis)
        except Exception as error:  # noqa: BLE001 - handed to the main thread
            errors.append(error)

    threads = [threading.Thread(target=publish) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    run = results[analysis.run_uid]
    assert list(run) == [analysis.key]
    assert run.label == "aging"
    for name, array in analysis.arrays.items():
        np.testing.assert_array_equal(run[name].read(), array)


@pytest.mark.parametrize("uid", ["..", "a/b", "", "a b"])
def test_name_that_is_no_step_is_refused(results, make_analysis, uid):
    analysis = make_analysis()
    object.__setattr__(analysis, "run_uid", uid)
    with pytest.raises(ConfigError, match="letters, digits"):
        ResultsPublisher(results).publish(analysis)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"status": "complete"}, "needs a run_uid"),
        ({"run_uid": "x", "status": "done"}, "status must be"),
        ({"run_uid": "x", "status": "complete", "confidence": 3}, "0..1"),
    ],
    ids=["no-run", "unknown-status", "confidence"],
)
def test_server_refuses_metadata_that_would_spoil_queries(results, metadata, message):
    with pytest.raises(ClientError, match=message):
        results.create_container("bad", metadata=metadata, specs=["XPCSResults"])


def test_server_refuses_a_map_that_is_not_square(results, make_analysis):
    analysis = make_analysis()
    ResultsPublisher(results).publish(analysis)
    with pytest.raises(ClientError, match="must be square"):
        results[analysis.run_uid].write_array(
            np.ones((3, 4)), key="bad", specs=["XPCSTwoTime"]
        )


def _revisions(node):
    return [item["attributes"] for item in node.metadata_revisions[:]]
