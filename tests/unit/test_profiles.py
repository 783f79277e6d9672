import ast
from pathlib import Path

import pytest
import yaml

from ainerd_bluesky import profiles
from ainerd_bluesky.config import load_beamline
from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.profiles import (
    beamline_path,
    find_profiles,
    install_startup,
    list_beamlines,
)
from tiled_adapters.server import server_config


@pytest.fixture
def own_profiles(tmp_path, monkeypatch):
    """A profiles folder of a site."""
    folder = tmp_path / "site"
    (folder / "beamlines").mkdir(parents=True)
    (folder / "startup").mkdir()
    source = find_profiles()
    for name in ("beamlines/demo.toml", "startup/session.py"):
        (folder / name).write_text((source / name).read_text())
    (folder / "beamlines" / "chx.toml").write_text("")
    monkeypatch.setenv("AINERD_PROFILES", str(folder))
    return folder


@pytest.fixture
def startup(tmp_path):
    folder = tmp_path / "startup"
    folder.mkdir()
    return folder


def test_the_profiles_of_the_checkout_are_found():
    assert find_profiles() == Path(profiles.__file__).parents[1] / "profiles"
    assert "demo" in list_beamlines()


def test_the_environment_names_other_profiles(own_profiles):
    assert find_profiles() == own_profiles
    assert list_beamlines() == ["chx", "demo"]


def test_an_installation_has_its_profiles_in_its_data(tmp_path, monkeypatch):
    shared = tmp_path / "share" / "ainerd-bluesky" / "profiles"
    (shared / "beamlines").mkdir(parents=True)
    monkeypatch.setattr(profiles, "__file__", str(tmp_path / "lib" / "x" / "p.py"))
    monkeypatch.setattr(profiles.sysconfig, "get_path", lambda name: str(tmp_path))
    assert find_profiles() == shared


def test_a_variable_that_names_nothing_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("AINERD_PROFILES", str(tmp_path))
    with pytest.raises(ConfigError, match=r"AINERD_PROFILES is .* no folder with"):
        find_profiles()


def test_a_beamline_is_found_by_name_and_by_path(own_profiles, tmp_path):
    named = own_profiles / "beamlines" / "demo.toml"
    assert beamline_path("demo") == beamline_path(named) == named


@pytest.mark.parametrize("name", ["dmeo", "../beamlines/demo", "no/such.toml", ""])
def test_a_beamline_that_is_not_there_is_named_with_those_that_are(own_profiles, name):
    with pytest.raises(ConfigError, match=r"one of chx, demo in "):
        beamline_path(name)


@pytest.mark.parametrize("name", list_beamlines())
def test_each_beamline_file_is_valid(name):
    assert load_beamline(beamline_path(name)).name == name


def test_one_file_is_written_and_a_second_time_changes_nothing(startup):
    path = install_startup("demo", startup_dir=startup)
    text = path.read_text()
    assert install_startup("demo", startup_dir=startup) == path
    assert [p.name for p in startup.iterdir()] == ["90-ainerd.py"]
    assert path.read_text() == text


def test_the_file_names_the_beamline(startup, tmp_path):
    source = tmp_path / "it's mine.toml"
    source.write_text(beamline_path("demo").read_text())
    path = install_startup(source, startup_dir=startup)
    [call] = [
        n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)
    ]
    assert call.func.id == "install"
    assert call.args[1].value == str(source)


def test_a_file_that_was_changed_is_replaced_only_by_force(startup):
    path = startup / "90-ainerd.py"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="exists and differs: use force"):
        install_startup("demo", startup_dir=startup)
    assert path.read_text() == "mine"
    install_startup("demo", startup_dir=startup, force=True)
    assert "RE = RunEngine()" in path.read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "name either an IPython profile or a start-up folder"),
        ({"ipython_profile": "a", "startup_dir": Path("b")}, "name either"),
        ({"startup_dir": Path("/no/where")}, "no start-up folder /no/where"),
    ],
)
def test_where_to_write_must_be_clear(tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        install_startup("demo", ipython_dir=tmp_path, **options)


def test_a_new_ipython_profile_is_made(tmp_path):
    path = install_startup("demo", ipython_profile="new", ipython_dir=tmp_path)
    assert path.parent == tmp_path / "profile_new" / "startup"


def test_a_beamline_that_would_break_the_session_is_refused(startup, tmp_path):
    bad = tmp_path / "bad.toml"
    bad.write_text(beamline_path("demo").read_text().replace("field =", "feild ="))
    with pytest.raises(ConfigError, match=r"detector\.feild"):
        install_startup(bad, startup_dir=startup)
    assert not list(startup.iterdir())


def test_the_tiled_profile_holds_no_key():
    document = yaml.safe_load((find_profiles() / "tiled" / "ainerd.yml").read_text())
    assert document == {"ainerd": {"uri": "http://127.0.0.1:8000"}}


def test_the_server_of_a_facility_is_configured_as_ours_is():
    path = find_profiles() / "tiled-server" / "facility.yml"
    document = yaml.safe_load(path.read_text())
    assert document == server_config(
        Path("/srv/ainerd"),
        api_key="${TILED_SINGLE_USER_API_KEY}",
        readable=[Path("/data/detector")],
        catalog_uri="postgresql://ainerd@db.example.org/catalog",
        storage_uri="postgresql://ainerd@db.example.org/tables",
    )


@pytest.mark.parametrize(
    "path", sorted((find_profiles() / "startup").glob("*.py")), ids=lambda p: p.name
)
def test_start_up_files_are_python_with_a_docstring(path):
    assert ast.get_docstring(ast.parse(path.read_text()))
