"""The state of an agent: whole or not at all, and of one agent at a time."""

import json
import subprocess
import sys

import pytest

from ainerd_bluesky.agents import load_journal, lock_folder, new_journal
from ainerd_bluesky.agents.journal import Entry
from ainerd_bluesky.errors import AgentConflictError, SelectionError
from tests.unit.agents.conftest import make_selector


@pytest.fixture
def journal(tmp_path):
    journal = new_journal(tmp_path / "agent.json", "peptide", make_selector(), 12.5)
    [suggestion] = journal.selector.suggest()
    journal.entries.append(Entry(suggestion.decision, "measured", "i", ("r1", "r2"), 3))
    journal.save()
    return journal


def test_what_was_saved_is_loaded(journal):
    loaded = load_journal(journal.path, "peptide")
    assert loaded.entries == journal.entries
    assert (loaded.agent, loaded.started) == (journal.agent, 12.5)
    assert loaded.selector.state() == journal.selector.state()


def test_without_a_file_there_is_no_journal(tmp_path):
    assert load_journal(tmp_path / "agent.json", "peptide") is None


def test_a_crash_while_writing_leaves_the_old_state(journal, monkeypatch):
    before = journal.path.read_text()
    journal.entries[0].run_uids = (object(),)
    with pytest.raises(SelectionError, match="cannot be written"):
        journal.save()
    assert journal.path.read_text() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 99}, "format 99"),
        ({"campaign": "polymer"}, "of campaign 'polymer'"),
        ({"entries": [{"decision": {}}]}, "not a decision"),
        ({"selector": {}}, "not the state"),
        ({"agent": ...}, "not the state of an agent"),
    ],
    ids=["format", "campaign", "entry", "selector", "missing"],
)
def test_a_state_that_is_not_one_is_an_error(journal, change, message):
    content = json.loads(journal.path.read_text())
    for key, value in change.items():
        content.pop(key)
        if value is not ...:
            content[key] = value
    journal.path.write_text(json.dumps(content))
    with pytest.raises(SelectionError, match=message):
        load_journal(journal.path, "peptide")


def test_a_file_cut_off_is_an_error(journal):
    journal.path.write_text(journal.path.read_text()[:-20])
    with pytest.raises(SelectionError, match="no state can be read"):
        load_journal(journal.path, "peptide")


def test_two_campaigns_have_agents_of_different_names(tmp_path):
    names = {
        new_journal(tmp_path / "a", "peptide", make_selector(), 0.0).agent
        for _ in range(2)
    }
    assert len(names) == 2


HOLD = """
import sys, time, pathlib
from ainerd_bluesky.agents import lock_folder
with lock_folder(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_has_one_agent_until_that_dies(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with (
            pytest.raises(AgentConflictError, match=f"process {other.pid} on"),
            lock_folder(tmp_path),
        ):
            pass
        other.kill()
    with lock_folder(tmp_path):
        pass
