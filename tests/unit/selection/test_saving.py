"""A state on disk is whole, or an error."""

import json

import pytest

from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection import (
    Candidate,
    Coverage,
    Observation,
    StrategySelector,
    load_state,
    save_state,
)
from ainerd_bluesky.selection.saving import read_json, write_json

LINE = [Candidate(f"s{n}", (float(n),)) for n in range(5)]


@pytest.fixture
def selector():
    selector = StrategySelector(LINE, Coverage())
    selector.ingest([Observation("s0", "aging", 0.9, 0.1, {"aging": 0.9})])
    selector.suggest()
    return selector


def test_a_saved_selector_goes_on(selector, tmp_path):
    path = tmp_path / "campaign.json"
    save_state(selector, path)
    assert load_state(path).suggest(2) == selector.suggest(2)


def test_a_path_may_be_a_string(selector, tmp_path):
    path = str(tmp_path / "campaign.json")
    save_state(selector, path)
    assert load_state(path).state_hash == selector.state_hash


def test_saving_again_replaces_the_file_and_leaves_no_other(selector, tmp_path):
    path = tmp_path / "campaign.json"
    save_state(selector, path)
    selector.suggest()
    save_state(selector, path)
    assert load_state(path).state_hash == selector.state_hash
    assert list(tmp_path.iterdir()) == [path]


def test_a_state_that_cannot_be_written_leaves_the_old_one(selector, tmp_path):
    path = tmp_path / "campaign.json"
    save_state(selector, path)
    before = path.read_bytes()
    # A folder in the place of the temporary file is the nearest thing to a full disk.
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    with pytest.raises(SelectionError, match=r"cannot be written to .*blocked"):
        save_state(selector, blocked)
    assert path.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [blocked, path]


def test_what_is_no_json_leaves_the_old_file(tmp_path):
    path = tmp_path / "campaign.json"
    write_json({"dose": 1.0}, path)
    for value in (float("nan"), object()):
        with pytest.raises(SelectionError, match="a state cannot be written to"):
            write_json({"dose": value}, path)
    assert read_json(path) == {"dose": 1.0}
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_missing_is_named(selector, tmp_path):
    with pytest.raises(SelectionError, match="No such file"):
        save_state(selector, tmp_path / "missing" / "campaign.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no state can be read"),
        (b"\xff\xfe", "no state can be read"),
        (b"[]", "holds no state but a list"),
        (b"{}", "not the state of a selector"),
        (b'{"format_version": 7}', "has format 7"),
    ],
)
def test_a_file_that_holds_no_state_is_named(content, message, tmp_path):
    path = tmp_path / "campaign.json"
    path.write_bytes(content)
    with pytest.raises(SelectionError, match=message) as raised:
        load_state(path)
    assert str(path) in str(raised.value)


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(SelectionError, match="no state can be read"):
        load_state(tmp_path / "missing.json")


@pytest.mark.parametrize("n_lost", [1, 10, 200])
def test_a_file_that_was_cut_off_is_refused(n_lost, selector, tmp_path):
    path = tmp_path / "campaign.json"
    save_state(selector, path)
    path.write_bytes(path.read_bytes()[:-n_lost])
    with pytest.raises(SelectionError, match=r"campaign\.json"):
        load_state(path)


def test_a_file_that_a_person_edited_is_refused(selector, tmp_path):
    path = tmp_path / "campaign.json"
    save_state(selector, path)
    state = json.loads(path.read_text())
    state["events"][0]["label"] = "static"
    path.write_text(json.dumps(state))
    with pytest.raises(SelectionError, match="does not fit its hash"):
        load_state(path)
