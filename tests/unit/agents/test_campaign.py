"""The file of a campaign: what it says is checked, and the error names it."""

import pytest

from ainerd_bluesky.agents import load_campaign
from ainerd_bluesky.errors import ConfigError

BEAMLINE = """
name = "8-ID"
[detector]
field = "eiger"
[partition]
path = "qmap.h5"
[queue]
control_address = "tcp://qserver:60615"
allowed_plans = ["xpcs_scan", "heat_and_scan"]
max_items = 4
"""
CAMPAIGN = """
name = "gel-1"
beamline = "8-ID.toml"
n_scans = 20
candidates_file = "gel.csv"

[plan]
name = "heat_and_scan"
coordinate_arguments = { temperature = "temperature" }
arguments = { n_frames = 512 }

[selector]
strategy = "phase-boundary"
max_remeasures = 2

[[axes]]
name = "temperature"
low = 10.0
high = 60.0
seconds_per_unit = 30
"""
CANDIDATES = (
    "name,temperature,sample,exposure\ngel at 20,20,gel,5\ngel at 30,30,gel,5\n"
)


@pytest.fixture
def write(tmp_path):
    def write(campaign=CAMPAIGN, candidates=CANDIDATES, beamline=BEAMLINE):
        (tmp_path / "8-ID.toml").write_text(beamline)
        (tmp_path / "gel.csv").write_text(candidates)
        (tmp_path / "gel.toml").write_text(campaign)
        return tmp_path / "gel.toml"

    return write


def test_a_campaign_makes_selector_plan_and_rules(write, tmp_path):
    campaign, beamline = load_campaign(write())
    selector, template = campaign.make_selector(), campaign.plan.template()
    rules = campaign.rules(beamline)
    assert [(c.name, c.coordinates, c.sample) for c in selector.candidates] == [
        ("gel at 20", (20.0,), "gel"),
        ("gel at 30", (30.0,), "gel"),
    ]
    assert selector.settings.max_remeasures == 2
    assert template.fill(selector.candidates[0], {"temperature": 20.0}) == {
        "n_frames": 512,
        "sample": "gel",
        "temperature": 20.0,
    }
    assert (rules.n_scans, rules.max_items) == (20, 4)
    assert rules.allowed_plans == ("xpcs_scan", "heat_and_scan")
    assert campaign.folder == tmp_path / "gel-1-agent"


def test_candidates_may_stand_in_the_file_itself(write):
    text = """
name = "shelf"
beamline = "8-ID.toml"
n_scans = 2
[[candidates]]
name = "A"
[[candidates]]
name = "B"
"""
    campaign, _ = load_campaign(write(text))
    assert [c.name for c in campaign.make_selector().candidates] == ["A", "B"]
    assert campaign.plan.name == "xpcs_scan"


def test_labels_may_be_words_of_the_beamline(write):
    text = CAMPAIGN.replace("[selector]", '[selector]\nvocabulary = ["gel", "sol"]')
    campaign, _ = load_campaign(write(text))
    assert campaign.make_selector().vocabulary == ("gel", "sol")


@pytest.mark.parametrize(
    ("strategy", "wanted"),
    [
        ("discovery", ""),
        ("novelty", ""),
        ("uncertainty", ""),
        ("coverage", ""),
        ("wanted", "wanted = { aging = 1.0 }"),
    ],
)
def test_every_strategy_chooses(write, strategy, wanted):
    text = CAMPAIGN.replace('"phase-boundary"', f'"{strategy}"\n{wanted}')
    campaign, _ = load_campaign(write(text))
    [suggestion] = campaign.make_selector().suggest()
    assert suggestion.decision is not None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("n_scans = 20", "n_scans = 0", r"n_scans: .*got 0"),
        ("n_scans = 20", "n_scan = 20", r"n_scan: Extra inputs"),
        ('name = "gel-1"', 'name = "../gel"', "name: String should match"),
        ('candidates_file = "gel.csv"', "", "either `candidates` or"),
        ('"phase-boundary"', '"luck"', "selector.strategy"),
        ('"phase-boundary"', '"wanted"', "`wanted` names labels"),
        ('"8-ID.toml"', '"9-ID.toml"', "no beamline '9-ID.toml'"),
        ('"gel.csv"', '"sol.csv"', "cannot read candidates .*sol.csv"),
        ('name = "temperature"\n', 'name = "T"\n', r"\['temperature'\] are unknown"),
        (
            'coordinate_arguments = { temperature = "temperature" }',
            "",
            "'gel at 20' and 'gel at 30' give the same scan.*coordinate_arguments",
        ),
        ("{ temperature =", "{ T =", r"gel.toml: .*wants coordinates \['T'\]"),
        ("n_frames = 512", "temperature = 5", r"gets \['temperature'\] more than once"),
        ("n_frames = 512", "n_frames = nan", "a queue cannot keep"),
        ("n_frames = 512", "when = 2026-01-01", "a queue cannot keep"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_mistake_is_named(write, old, new, message):
    with pytest.raises(ConfigError, match=message):
        load_campaign(write(CAMPAIGN.replace(old, new)))


def test_a_table_with_the_mark_that_spreadsheets_write_first_is_read(write):
    campaign, _ = load_campaign(write(candidates="\ufeff" + CANDIDATES))
    assert [item.name for item in campaign.candidates] == ["gel at 20", "gel at 30"]


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        ("name,temperature\n", "holds no candidates"),
        ("name,temperature\ngel,warm\n", "line 2: .*'warm'"),
        ("name,temperature\n,20\n", "line 2: "),
        ("name\ngel\n", r"\['temperature'\] are missing"),
    ],
    ids=["empty", "number", "name", "column"],
)
def test_a_mistake_in_the_candidates_is_named(write, candidates, message):
    with pytest.raises(ConfigError, match=message):
        load_campaign(write(candidates=candidates))
