import pytest
from bluesky import RunEngine
from bluesky.simulators import RunEngineSimulator, summarize_plan
from ophyd_async.core import Device

from ainerd_bluesky import plans
from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.plans import autonomous_xpcs, wait_for_label, xpcs_scan
from ainerd_bluesky.selection import Candidate, NoveltySelector

SHELF = [Candidate(f"s{n}", (float(n),)) for n in range(5)]


def summary(**changes):
    return {
        "label": "aging",
        "confidence": 0.9,
        "novelty": 0.3,
        "probabilities": {"aging": 0.9},
        **changes,
    }


class Results:
    """Answers from a list; remembers what it was asked."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    async def wait(self, run_uid, timeout):
        self.asked.append((run_uid, timeout))
        return self.answers.pop(0)


@pytest.fixture
def RE():
    return RunEngine({}, call_returns_result=True)


@pytest.fixture
def scanned(monkeypatch):
    """Scans without devices."""
    samples = []

    def scan(detector, stage, sample, **settings):
        samples.append((sample, settings))
        yield from ()
        return f"uid-{sample}"

    monkeypatch.setattr(plans, "xpcs_scan", scan)
    return samples


@pytest.mark.parametrize("answer", [summary(), None])
def test_waiting_for_a_label_returns_it(RE, answer):
    results = Results(answer)
    assert RE(wait_for_label(results, "a", 3.0)).plan_result == answer
    assert results.asked == [("a", 3.0)]


def test_each_label_is_learned_before_the_next_choice(RE, scanned):
    selector = NoveltySelector(SHELF)
    results = Results(*(summary(novelty=n / 10) for n in range(3)))
    uids = RE(
        autonomous_xpcs("d", "s", selector, results, n_scans=3, timeout=9, n_frames=64)
    ).plan_result
    assert uids == [f"uid-{sample}" for sample, _ in scanned]
    assert [seen.novelty for seen in selector.observations] == [0.0, 0.1, 0.2]
    assert all(settings == {"n_frames": 64} for _, settings in scanned)
    assert {timeout for _, timeout in results.asked} == {9}


def test_a_label_that_does_not_come_in_time_does_not_end_the_series(RE, scanned):
    selector = NoveltySelector(SHELF)
    results = Results(summary(), None, summary())
    RE(autonomous_xpcs("d", "s", selector, results, n_scans=3))
    assert len(scanned) == 3
    assert len({sample for sample, _ in scanned}) == 3
    assert len(selector.observations) == 2


@pytest.mark.parametrize("odd", [{"label": "aging"}, summary(novelty="much")], ids=str)
def test_a_label_that_teaches_nothing_does_not_end_the_series(RE, scanned, odd, caplog):
    selector = NoveltySelector(SHELF)
    RE(autonomous_xpcs("d", "s", selector, Results(odd, summary()), n_scans=2))
    assert len({sample for sample, _ in scanned}) == 2
    assert len(selector.observations) == 1
    assert f"nothing is learned of sample '{scanned[0][0]}'" in caplog.text


def test_the_series_ends_when_no_candidate_is_left(RE, scanned):
    selector = NoveltySelector(SHELF)
    results = Results(*[summary()] * 9)
    RE(autonomous_xpcs("d", "s", selector, results, n_scans=9))
    assert sorted(sample for sample, _ in scanned) == [c.name for c in SHELF]


@pytest.mark.parametrize(
    ("n_frames", "frame_time"), [(0, 0.1), (10, 0.0), (10, -1.0), (10, float("nan"))]
)
def test_a_scan_that_cannot_be_is_refused_before_it_starts(n_frames, frame_time):
    with pytest.raises(ConfigError, match=f"got {n_frames} and {frame_time}"):
        summarize_plan(
            xpcs_scan(None, None, "a", n_frames=n_frames, frame_time=frame_time)
        )


def test_the_technique_of_a_scan_can_be_another():
    detector, stage = Device(name="eiger"), Device(name="stage")
    scan = xpcs_scan(detector, stage, "a", md={"technique": "SAXS"})
    messages = RunEngineSimulator().simulate_plan(scan)
    [opened] = [message for message in messages if message.command == "open_run"]
    assert opened.kwargs["technique"] == "SAXS"
    assert opened.kwargs["sample"] == "a"
