"""The file of a campaign: what it says is checked, and the error names it."""

import pytest

from ainerd_bluesky.agents import load_campaign
from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.selection import WantedProperty
from tiled_adapters.decisions import CampaignDecision

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
        ("property", 'property = { key = "alpha", target = 1.5, tolerance = 0.1 }'),
    ],
)
def test_every_strategy_chooses(write, strategy, wanted):
    text = CAMPAIGN.replace('"phase-boundary"', f'"{strategy}"\n{wanted}')
    campaign, _ = load_campaign(write(text))
    [suggestion] = campaign.make_selector().suggest()
    assert suggestion.decision is not None


def test_a_property_is_looked_for_as_in_python(write):
    wanted = 'key = "relaxation_rate", target = 10.0, tolerance = 0.2, is_log = true'
    text = CAMPAIGN.replace(
        '"phase-boundary"', f'"property"\nproperty = {{ {wanted} }}'
    )
    campaign, _ = load_campaign(write(text))
    strategy, _ = campaign.selector.make()
    assert strategy == WantedProperty("relaxation_rate", 10.0, 0.2, is_log=True)


GRID = """
[grid]
sample = "gel"
points = { temperature = 6 }
exposure = 5
"""


def on_grid(text=CAMPAIGN):
    return text.replace('candidates_file = "gel.csv"\n', "") + GRID


@pytest.mark.parametrize(
    ("low", "is_log", "values"),
    [
        ("10.0", "false", [10, 20, 30, 40, 50, 60]),
        ("0.0006", "true", [0.0006, 0.006, 0.06, 0.6, 6, 60]),
        ("59.5", "false", [59.5, 59.6, 59.7, 59.8, 59.9, 60]),
    ],
    ids=["steps", "factors", "no trailing digits"],
)
def test_a_grid_goes_from_limit_to_limit(write, low, is_log, values):
    text = CAMPAIGN.replace("low = 10.0", f"low = {low}\nis_log = {is_log}")
    campaign, _ = load_campaign(write(on_grid(text)))
    selector = campaign.make_selector()
    assert [one.coordinates[0] for one in selector.candidates] == values
    assert {(one.sample, one.exposure) for one in selector.candidates} == {("gel", 5.0)}
    assert selector.candidates[0].name == f"gel temperature={values[0]:g}"
    assert str(selector.axes[0].is_log).lower() == is_log


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("temperature = 6", "T = 6", r"gel.toml: grid.points names \['T'\], axes are"),
        ("temperature = 6", "temperature = 1", r"grid.points.temperature: .*got 1"),
        ("low = 10.0", "", "gel.toml: a grid needs finite limits .*got low -inf"),
        ('sample = "gel"', "", "grid.sample: Field required"),
        ("n_scans = 20", 'n_scans = 2\ncandidates_file = "gel.csv"', "give one of"),
    ],
)
def test_a_grid_that_cannot_be_is_named(write, old, new, message):
    with pytest.raises(ConfigError, match=message):
        load_campaign(write(on_grid().replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("n_scans = 20", "n_scans = 0", r"n_scans: .*got 0"),
        ("n_scans = 20", "n_scan = 20", r"n_scan: Extra inputs"),
        ('name = "gel-1"', 'name = "../gel"', "name: String should match"),
        (
            'candidates_file = "gel.csv"',
            "",
            "give one of `candidates`, `candidates_file` and",
        ),
        ('"phase-boundary"', '"luck"', "selector.strategy"),
        ('"phase-boundary"', '"wanted"', "`wanted` names labels"),
        ('"phase-boundary"', '"property"', "`property` has a value"),
        (
            '"phase-boundary"',
            '"property"\nproperty = { key = "a", target = nan, tolerance = 1 }',
            "selector.property: .*need a finite target",
        ),
        ("low = 10.0", "low = 0.0\nis_log = true", "axes.0: .*needs low > 0, got 0"),
        (
            'candidates_file = "gel.csv"',
            'candidates = [{ name = "A" }, { name = "A" }]',
            r"names of their own, \['A'\] are not",
        ),
        (
            'candidates_file = "gel.csv"',
            'candidates = [{ name = "A", coordinates = [nan] }]',
            "candidates.0.coordinates.0: .*finite number, got nan",
        ),
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
        ("name,temperature,name\ngel,5,sol\n", r"\['name'\] are there twice"),
        ("name,temperature\nA,1\nB,2,5\n", r"gel.csv, line 3: .*decimals with a point"),
        ("name,temperature\nA,1\nB\n", "gel.csv, line 3: more or fewer cells"),
        ("name,temperature\n\nA,1\nA,2\n", "line 4: 'A' is in line 3 already"),
        ("name,temperature\nA,1\n\nB,nan\n", r"line 4: (.|\n)*finite number"),
        ("name,temperature\nA,\n", "line 2: could not convert"),
        ("name,temperature,exposure\nA,1,inf\n", r"line 2: (.|\n)*finite number"),
    ],
    ids=[
        "empty",
        "number",
        "name",
        "column",
        "column twice",
        "decimal comma",
        "short",
        "name twice",
        "nan",
        "no number",
        "exposure",
    ],
)
def test_a_mistake_in_the_candidates_is_named(write, candidates, message):
    with pytest.raises(ConfigError, match=message):
        load_campaign(write(candidates=candidates))


@pytest.mark.parametrize("name", ["gel-1", "G", "_.-", "a" * 100])
def test_decisions_can_be_kept_under_the_name_of_a_campaign(write, name):
    campaign, _ = load_campaign(write(CAMPAIGN.replace("gel-1", name)))
    [suggestion] = campaign.make_selector().suggest()
    CampaignDecision(campaign.name, suggestion.decision.of_run("run-1"), 0.0).check()


@pytest.mark.parametrize("name", ["", "a" * 101, ".", "..", ".gel", "gel/1", "gel\\n"])
def test_a_name_under_which_no_decision_could_be_kept_is_refused(write, name):
    with pytest.raises(ConfigError, match="name: String should match"):
        load_campaign(write(CAMPAIGN.replace("gel-1", name)))
