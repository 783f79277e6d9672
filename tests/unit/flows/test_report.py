"""What is printed: data as they are, and nothing that is not known."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ainerd_bluesky.vocabulary import DYNAMICS
from flows.archive import ASSUMED, Ingested
from flows.report import draw_analysis, print_analysis, print_ingested, print_json

pytest.importorskip("torch")
from ainerd_bluesky.ml import load_model
from ainerd_bluesky.pipeline import Acquisition, AnalysisSettings, analyse, reduce_maps


@pytest.fixture(scope="module")
def model():
    return load_model()


def aging_map(n_frames=240):
    rng = np.random.default_rng(3)
    frame = np.arange(n_frames)
    clock = 8 * np.log1p(frame / 12)
    two_time = 1 + 0.4 * np.exp(-2 * np.abs(clock[:, None] - clock))
    noise = 0.02 * rng.standard_normal(two_time.shape)
    return (two_time + (noise + noise.T) / 2).astype(np.float32)


@pytest.fixture(scope="module")
def make(model):
    def make(two_time, frame_time=None):
        origin = ASSUMED if frame_time is None else "given"
        acquisition = Acquisition(
            "map-1", frame_time=frame_time, metadata={"frame_time_from": origin}
        )
        reduction = reduce_maps(two_time[np.newaxis], frame_time=frame_time or 1.0)
        return analyse(reduction, acquisition, model, config=AnalysisSettings())

    return make


@pytest.fixture(scope="module")
def aging(make):
    analysis = make(aging_map())
    assert analysis.summary["label"] == "aging"
    return analysis


@pytest.fixture(scope="module")
def refused(make):
    analysis = make(np.ones((3, 3), np.float32))
    analysis.arrays.clear()
    return analysis


@pytest.fixture(autouse=True)
def terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def ingested(name, **summary):
    summary = {
        "label": "aging",
        "confidence": 0.9,
        "frame_time": 0.01,
        "physics": {"relaxation_time": 0.5, "q": 0.0123},
        **summary,
    }
    return Ingested(Path(name), summary)


def test_headers_keep_their_units(capsys, aging):
    print_analysis(aging)
    printed = capsys.readouterr().out
    for header in ("q [1/Å]", "rate [1/frame]", "age [frame]"):
        assert header in printed


def test_seconds_are_named_once_the_frame_time_is_known(capsys, make):
    print_analysis(make(aging_map(), 0.01))
    printed = capsys.readouterr().out
    for header in ("rate [1/s]", "age [s]"):
        assert header in printed


def test_reason_with_brackets_is_printed_whole(capsys, make):
    analysis = make(np.ones((3, 3), np.float32))
    analysis.summary["quality"]["reasons"] = ["/data/[old]/a[/].h5 :on: is bad"]
    print_analysis(analysis)
    assert "/data/[old]/a[/].h5 :on: is bad" in capsys.readouterr().out


def strict_json(text):
    return json.loads(text, parse_constant=lambda word: pytest.fail(word))


def test_json_has_bins_and_ages_per_frame(capsys, aging):
    print_json(aging)
    answer = strict_json(capsys.readouterr().out)
    assert (answer["time_unit"], answer["frame_time"]) == ("frame", None)
    assert answer["bins"][0]["q"] is None
    assert answer["bins"][0]["label"] == "aging"
    rates = [row["relaxation_rate"] for row in answer["by_age"]]
    assert len(rates) >= 3
    assert rates[0] > rates[-1]
    assert set(answer["by_age"][0]) >= {"age", "relaxation_rate_err", "alpha"}


def test_json_says_how_the_answer_was_made(capsys, aging):
    print_json(aging)
    assert strict_json(capsys.readouterr().out)["recipe"] == aging.recipe


def test_json_in_seconds_scales_with_the_frame_time(capsys, make):
    print_json(make(aging_map(), 0.01))
    answer = strict_json(capsys.readouterr().out)
    assert (answer["time_unit"], answer["frame_time"]) == ("s", 0.01)


def test_json_of_a_refused_map_has_no_ages(capsys, refused):
    print_json(refused)
    assert strict_json(capsys.readouterr().out)["by_age"] == []


def test_refused_result_has_nothing_to_draw(capsys, refused, tmp_path):
    draw_analysis(refused, tmp_path / "map.png")
    assert "nothing to draw" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_file_names_are_whole_and_data_not_markup(capsys):
    name = "Z0001_synthetic-aging_a0001_f000600_[red]_r0000{}_results.hdf"
    print_ingested([ingested(name.format(i)) for i in (1, 2)], 2)
    printed = capsys.readouterr().out
    cells = [line.split("│")[1].strip() for line in printed.splitlines() if "│" in line]
    assert "".join(cells) == name.format(1) + name.format(2)
    assert "q [1/Å]" in printed
    assert "0.0123" in printed


def test_outcome_counts_each_state(capsys):
    rows = [
        ingested("a.npy"),
        ingested("b.npy", label="invalid"),
        Ingested(Path("c[d].npy"), error="no map"),
    ]
    print_ingested(rows, 3)
    printed = capsys.readouterr().out
    assert "not read c[d].npy: no map" in printed
    assert "1 labelled, 1 invalid, 1 not read" in printed
    assert "not done" not in printed


def test_files_after_a_failure_of_the_server_are_listed(capsys):
    rows = [
        Ingested(Path("a.npy"), error="server: refused", is_done=False),
        Ingested(Path("b.npy"), error="not tried", is_done=False),
    ]
    print_ingested(rows, 2)
    printed = capsys.readouterr().out
    assert "not done a.npy: server: refused" in printed
    assert "0 labelled, 0 invalid, 0 not read, 2 not done" in printed


def test_what_is_done_is_printed_when_somebody_stops_it(capsys):
    def rows():
        yield ingested("a.npy")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        print_ingested(rows(), 2)
    assert "1 labelled" in capsys.readouterr().out


def test_notes_come_once_a_folder_and_once_for_missing_frame_times(capsys):
    rows = [
        Ingested(
            Path(folder) / name, ingested(name, frame_time=None).summary, remark="why"
        )
        for folder in ("one", "two")
        for name in ("a.npy", "b.npy")
    ]
    print_ingested(rows, 4)
    printed = capsys.readouterr().out
    for folder in ("one", "two"):
        assert f"2 files are not served in place, in {folder}: why" in printed
    assert "4 files tell no frame time" in printed
    assert "--frame-time" in printed


def test_note_on_one_file_is_singular(capsys):
    row = Ingested(Path("a.npy"), ingested("a", frame_time=None).summary, remark="why")
    print_ingested([row], 1)
    printed = capsys.readouterr().out
    assert "note 1 file is not served in place, in .: why" in printed
    assert "note 1 file tells no frame time" in printed


@pytest.fixture
def long_numbers(aging):
    """One q-bin of each label, with numbers as long as they get."""
    numbers = {
        "q": 0.01234,
        "confidence": 0.5,
        "relaxation_rate": 1.234e-05,
        "relaxation_rate_err": 1e-06,
        "alpha": 0.877,
        "alpha_err": 0.05,
        "beta": 0.01234,
        "beta_err": 0.004,
    }
    labels = [str(label) for label in DYNAMICS]
    bins = {name: [number] * len(labels) for name, number in numbers.items()}
    return replace(
        aging, bins={"q_bin": [*range(1, len(labels) + 1)], "label": labels, **bins}
    )


def test_table_of_q_bins_fits_a_terminal(long_numbers, capsys):
    print_analysis(long_numbers)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    rows = {line.split()[0]: line.split()[1:] for line in lines if line.strip()}
    assert rows["q-bin"][-5:] == ["confidence", "rate", "[1/frame]", "alpha", "beta"]
    for number, label in enumerate(DYNAMICS, start=1):
        fits = ["1.23e-05±1e-06", "0.877±0.05", "0.0123±0.004"]
        assert rows[str(number)] == ["0.01234", label, "0.50", *fits]


def test_confidence_that_is_not_known_is_a_dash(aging, capsys):
    unknown = {"confidence": None, "novelty": None}
    print_analysis(replace(aging, summary=aging.summary | unknown))
    print_ingested([ingested("a.npy", **unknown)], 1)
    printed = capsys.readouterr().out
    assert "confidence -  novelty -" in printed
    assert "│ a.npy │ aging │ -          │" in printed


@pytest.mark.parametrize("columns", ["40", "80"])
def test_labels_are_never_broken(long_numbers, capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    print_analysis(long_numbers)
    rows = [ingested("x" * 70 + f"{label}.h5", label=label) for label in DYNAMICS]
    print_ingested(rows, len(rows))
    words = capsys.readouterr().out.split()
    for label in DYNAMICS:
        assert words.count(label) >= 2
