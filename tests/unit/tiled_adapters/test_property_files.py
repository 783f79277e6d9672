from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from ainerd_bluesky.errors import ConfigError, FileFormatError
from tiled_adapters.property_files import PropertyFile

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC).timestamp()
RUNS = pd.DataFrame(
    {
        "run_uid": ["a1", "b2", "c3"],
        "sample": ["gel", None, "sol"],
        "time": [NOON + 0.5, NOON + 57.0, NOON + 400.0],
    }
)


@pytest.fixture
def table(tmp_path):
    def write(text, name="rheometer.csv"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def stress(path, runs=RUNS, **how):
    return PropertyFile(path, **how).values(["stress"], runs)["stress"].tolist()


@pytest.mark.parametrize(
    "start",
    ["2026-05-04T12:00:00+00:00", "2026-05-04T14:00:00+02:00"],
    ids=["utc", "zone"],
)
def test_last_step_before_a_run_counts(table, start):
    path = table("time,stress\n0,10\n56,20\n58,30\n100,40\n")
    found = stress(path, start=start)
    assert found[:2] == [10.0, 20.0]
    assert np.isnan(found[2])  # the last step was 300 s before
    assert stress(path, start=start, tolerance=300.0)[2] == 40.0


def test_zero_of_the_clock_may_be_a_number(table):
    path = table("time,stress\n0,10\n57,20\n")
    assert stress(path, start=NOON + 0.5)[:2] == [10.0, 10.0]
    assert stress(path, start=NOON, tolerance=1.0)[:2] == [10.0, 20.0]


@pytest.mark.parametrize(
    "text",
    [f"time,stress\n,5\n{NOON},10\n", "time,stress\n2026-05-04T12:00Z,10\n,5\n"],
    ids=["seconds", "iso"],
)
def test_steps_without_a_time_do_not_count(table, text):
    assert stress(table(text))[:2] == [10.0, 10.0]


@pytest.mark.parametrize(
    "text",
    [
        f"clock;stress\n{NOON};10\n{NOON + 50};20\n",
        "clock, stress\n2026-05-04T12:00:00Z, 10\n2026-05-04T12:00:50Z, 20\n",
        f"clock\tstress\n{NOON + 50}\t20\n{NOON}\t10\n",
    ],
    ids=["seconds since 1970", "iso", "not in order"],
)
def test_times_of_the_day_need_no_start(table, text):
    assert stress(table(text), on="clock")[:2] == [10.0, 20.0]


@pytest.mark.parametrize(
    ("text", "on"),
    [
        ("sample,stress\nsol,3\ngel,1\n", "sample"),
        ("run_uid,stress\nc3,3\na1,1\n", "run_uid"),
    ],
    ids=["sample", "run"],
)
def test_rows_may_belong_to_samples_and_runs(table, text, on):
    found = stress(table(text), on=on)
    assert (found[0], found[2]) == (1.0, 3.0)
    assert np.isnan(found[1])


def test_names_are_compared_letter_by_letter(table):
    runs = RUNS.assign(sample=["001", "1", None])
    path = table("sample,stress\n 001 ,3\nNone,4\nnan,5\n,6\n,7\n")
    found = stress(path, runs, on="sample")
    assert found[0] == 3.0
    assert np.isnan(found[1:]).all()


@pytest.mark.parametrize(
    ("text", "how", "message"),
    [
        ("time,torque\n0,1\n", {}, r"no column 'stress', only time, torque"),
        ("stress,x\n1,2\n", {}, r"no column 'time', only stress, x"),
        ("time,stress\n0,1\n", {}, r"from 1970-.*own needs to be told when that was"),
        (f"time,stress\n{NOON * 1000},1\n", {}, r"milliseconds have to be divided"),
        ("time,stress\n1e30,1\n,2\n", {}, r"from 1e\+30 s to 1e\+30 s"),
        ("time,stress\n,1\n,2\n", {}, r"time is empty in every row"),
        ("time,stress\n0,1\n", {"start": "noon"}, r"start of the table is 'noon'"),
        ("time,stress\nnow,1\n", {}, r"is 'now', not like 2026-"),
        (
            "sample,stress\ngel,1\ngel,2\n",
            {"on": "sample"},
            r"more than one row for 'gel'",
        ),
        (
            "sample,stress\nglass,1\n",
            {"on": "sample"},
            r"it has 'glass', the first run",
        ),
        ("sample,stress\n,1\n", {"on": "sample"}, r"sample is empty in every row"),
        ("sample,stress\ngel,high\n", {"on": "sample"}, r"does not hold numbers"),
    ],
    ids=[
        "column",
        "time",
        "clock",
        "milliseconds",
        "no date",
        "no times",
        "start",
        "times",
        "twice",
        "no match",
        "no names",
        "text",
    ],
)
def test_table_that_does_not_fit(table, text, how, message):
    with pytest.raises(ConfigError, match=message):
        stress(table(text), **how)


def test_runs_without_a_time_cannot_be_joined_by_it(table):
    path = table("time,stress\n0,1\n")
    with pytest.raises(ConfigError, match="join the table on run_uid or sample"):
        stress(path, runs=RUNS.assign(time=np.nan))


def test_file_that_is_no_table(table, tmp_path):
    with pytest.raises(FileFormatError, match="is no table"):
        stress(table("a,b\n1,2,3,4\n1\n2,3,4,5,6\n"))
    with pytest.raises(FileFormatError, match="is no table"):
        stress(tmp_path / "missing.csv")


def test_time_steps_of_a_real_rheometer(shared_data):
    path = shared_data / "aps8idi_rheo" / "rheology.csv"
    runs = pd.DataFrame({"time": NOON + 57.0 * np.arange(50)})
    file = PropertyFile(path, start=NOON, tolerance=10.0)
    columns = file.values(["shear_rate", "shear_stress"], runs)
    assert np.isfinite(columns["shear_stress"]).all()
    # Sheared at 30/s first, and at rest in the end.
    assert columns["shear_rate"][0] == 30.0
    assert abs(columns["shear_rate"][-1]) < 1e-3
    assert columns["shear_stress"][-1] < columns["shear_stress"][0] / 100
