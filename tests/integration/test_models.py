"""The registry of models in a real catalog."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import uuid

import numpy as np
import pytest
from tiled.client.utils import ClientError
from tiled.queries import Key
from typer.testing import CliRunner

pytest.importorskip("torch")

from safetensors import safe_open
from safetensors.numpy import load, save

from ainerd_bluesky.check import _check_registered
from ainerd_bluesky.config import (
    BeamlineConfig,
    CatalogConfig,
    ClassificationConfig,
    FlowConfig,
)
from ainerd_bluesky.errors import ConfigError, ModelError
from ainerd_bluesky.ml import load_model
from ainerd_bluesky.ml.bundle import SHIPPED
from ainerd_bluesky.ml.commands import model_app
from flows.models import ModelSource
from tiled_adapters import model_nodes, models
from tiled_adapters.model_commands import register_model_commands
from tiled_adapters.models import ModelRegistry, open_registry

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(scope="module")
def registry(catalog):
    return open_registry(catalog)


@pytest.fixture
def name():
    """A model that nobody else has: the server is shared."""
    return f"model-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def make_model(tmp_path, name):
    """Write the shipped model as another one, whose file carries a mark."""
    (card_path,) = SHIPPED.glob("*.json")

    def make(version="1.0", mark=None, **changes):
        card = json.loads(card_path.read_text())
        source = SHIPPED / card["weights"]
        with safe_open(source, framework="np") as file:
            header = json.loads(file.metadata()["header"])
        header = json.dumps({**header, "mark": mark or version})
        content = save(load(source.read_bytes()), metadata={"header": header})
        sha256 = hashlib.sha256(content).hexdigest()
        card |= {"name": name, "version": version, "sha256": sha256, **changes}
        folder = tmp_path / f"made-{uuid.uuid4().hex[:8]}"
        folder.mkdir()
        (folder / card["weights"]).write_bytes(content)
        (folder / "card.json").write_text(json.dumps(card))
        return folder

    return make


@pytest.fixture
def register(registry, make_model):
    """Register versions, all of them as candidates."""

    def fill(*versions):
        for version in versions:
            registry.register(make_model(version), who="a trainer")

    return fill


def stages(registry, name):
    return {item.version: item.stage for item in registry.versions(name)}


def test_a_registered_model_is_a_candidate_with_its_card(registry, make_model, name):
    folder = make_model()
    version = registry.register(folder, who="ann", why="first try")
    assert (version.stage, version.sha256) == ("candidate", load_model(folder).sha256)
    assert version.card == json.loads((folder / "card.json").read_text())
    (change,) = version.history
    assert (change.who, change.why, change.stage) == ("ann", "first try", "candidate")
    assert change.when.endswith("+00:00")
    assert name in registry.names()


def test_a_fetched_model_answers_as_the_registered_one(
    registry, make_model, name, tmp_path
):
    folder = make_model()
    registry.register(folder)
    fetched = registry.fetch(name, "1.0", tmp_path / "cache")
    noisy = np.random.default_rng(0).normal(1.0, 0.1, (1, 64, 64)).astype(np.float32)
    two_time = list((noisy + noisy.swapaxes(1, 2)) / 2)
    np.testing.assert_array_equal(
        load_model(fetched).embed(two_time), load_model(folder).embed(two_time)
    )
    assert fetched.parent == tmp_path / "cache" / name
    assert list(fetched.parent.iterdir()) == [fetched]


def test_weights_are_plain_bytes_in_chunks(
    registry, make_model, name, catalog, monkeypatch
):
    monkeypatch.setattr(model_nodes, "_CHUNK", 400_000)
    folder = make_model()
    card = registry.register(folder).card
    node = catalog["processed/models", name, "1.0", "weights"]
    content = (folder / card["weights"]).read_bytes()
    assert node.dtype == np.uint8
    assert max(node.chunks[0]) <= 400_000 < node.shape[0]
    assert node.read().tobytes() == content


def test_what_is_in_production_is_found_by_a_plain_query(
    registry, register, name, catalog
):
    register("1.0", "1.1")
    registry.promote(name, "1.1", "ann", "better")
    node = catalog["processed/models", name]
    assert list(node.search(Key("stage") == "production")) == ["1.1"]
    assert list(node.search(Key("card.version") == "1.0")) == ["1.0"]
    assert len(node["1.1"].metadata["sha256"]) == 64


def test_the_same_model_again_changes_nothing(registry, make_model):
    folder = make_model()
    assert registry.register(folder) == registry.register(folder)


def test_another_model_of_the_same_version_is_refused_with_both_hashes(
    registry, make_model, name
):
    taken = registry.register(make_model("1.0")).sha256
    other = make_model("1.0", mark="another")
    mine = load_model(other).sha256
    text = f"{name} 1.0 is registered already, with sha256 {taken[:12]}.*{mine[:12]}"
    with pytest.raises(ModelError, match=text):
        registry.register(other)
    with pytest.raises(ModelError, match="another card"):
        registry.register(make_model("1.0", scope="all there is"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sha256": "0" * 64}, "sha256"),
        ({"format_version": 99}, "format version 99"),
    ],
    ids=["hash", "format"],
)
def test_a_folder_without_a_sound_model_is_not_registered(
    registry, make_model, name, change, message
):
    with pytest.raises(ModelError, match=message):
        registry.register(make_model(**change))
    assert name not in registry.names()


@pytest.mark.parametrize("odd", ["..", "a/b", ""])
def test_a_name_that_cannot_be_is_refused_when_asked_for(registry, odd):
    with pytest.raises(ConfigError, match="letters, digits"):
        registry.versions(odd)


def test_a_name_that_is_no_step_in_the_catalog_is_refused(registry, make_model):
    with pytest.raises(ConfigError, match="letters, digits"):
        registry.register(make_model(name="a/b"))


def test_an_unknown_beginning_is_refused(registry, make_model):
    with pytest.raises(ConfigError, match="not as 'retired'"):
        registry.register(make_model(), "retired")


def test_a_promoted_version_takes_the_place_of_the_former(registry, register, name):
    register("1.0", "1.1", "1.2")
    registry.promote(name, "1.0", "ann", "the first")
    promoted = registry.promote(name, "1.1", "bob", "fewer mistakes")
    assert registry.production(name) == promoted
    assert stages(registry, name) == {
        "1.0": "retired",
        "1.1": "production",
        "1.2": "candidate",
    }
    retired = registry.version(name, "1.0").history[-1]
    assert (retired.who, retired.why) == ("bob", "replaced by 1.1: fewer mistakes")


def test_promoting_what_is_in_production_changes_nothing(registry, register, name):
    register("1.0")
    first = registry.promote(name, "1.0", "ann", "the first")
    assert registry.promote(name, "1.0", "ann", "again") == first


def test_a_model_can_be_registered_into_production(registry, make_model, register):
    register("1.0")
    version = registry.register(make_model("1.1"), "production", who="ann", why="good")
    assert [change.stage for change in version.history] == ["candidate", "production"]


@pytest.mark.parametrize(
    ("step", "expected"), [("add_decision", "1.0"), ("keep_stages", "1.1")]
)
def test_a_crash_while_promoting_leaves_the_old_or_the_new_version(
    registry, register, name, monkeypatch, step, expected
):
    def crash(*_):
        raise ConnectionResetError("crash")

    register("1.0", "1.1")
    registry.promote(name, "1.0", "ann", "the first")
    with monkeypatch.context() as patch:
        patch.setattr(models, step, crash)
        with pytest.raises(ConnectionResetError):
            registry.promote(name, "1.1", "ann", "better")
    assert registry.production(name).version == expected


def test_promoting_again_brings_stages_up_to_date_that_a_crash_left_behind(
    registry, register, name, monkeypatch, catalog
):
    def crash(*_):
        raise ConnectionResetError("crash")

    register("1.0", "1.1")
    registry.promote(name, "1.0", "ann", "the first")
    with monkeypatch.context() as patch:
        patch.setattr(models, "keep_stages", crash)
        with pytest.raises(ConnectionResetError):
            registry.promote(name, "1.1", "ann", "better")

    again = registry.promote(name, "1.1", "ann", "once more")

    assert [change.why for change in again.history[1:]] == ["better"]
    node = catalog["processed/models", name]
    found = {version: node[version].metadata["stage"] for version in ("1.0", "1.1")}
    assert found == {"1.0": "retired", "1.1": "production"}


@pytest.mark.parametrize("why", ["", " "])
@pytest.mark.parametrize(
    ("action", "version"),
    [("promote", ["1.0"]), ("promote", ["1.1"]), ("rollback", []), ("retire", ["1.1"])],
    ids=["promoted", "promote", "rollback", "retire"],
)
def test_a_decision_without_a_reason_is_refused(
    registry, register, name, action, version, why
):
    register("1.0", "1.1")
    registry.promote(name, "1.0", "ann", "the first")
    before = registry.versions(name)
    with pytest.raises(ConfigError, match="why must hold a reason, got '"):
        getattr(registry, action)(name, *version, "ann", why)
    assert registry.versions(name) == before


def test_a_model_without_a_reason_is_not_registered(registry, make_model, name):
    with pytest.raises(ConfigError, match="why must hold a reason, got ''"):
        registry.register(make_model(), why="")
    assert name not in registry.names()


def test_a_crash_while_registering_is_made_good(
    registry, make_model, name, monkeypatch, catalog
):
    def crash(*_, **__):
        raise ConnectionResetError("crash")

    folder = make_model()
    with monkeypatch.context() as patch:
        patch.setattr(model_nodes, "as_json", crash)
        with pytest.raises(ConnectionResetError):
            registry.register(folder)
    assert list(catalog["processed/models", name]) == ["1.0"]
    assert registry.versions(name) == ()
    assert registry.register(folder).stage == "candidate"


def test_decisions_at_once_are_all_kept(connect, register, name):
    register("1.0")
    barrier, reasons = threading.Barrier(3), []

    def retire(who):
        own = ModelRegistry(connect()["processed/models"])
        barrier.wait(10)
        for number in range(2):
            own.retire(name, "1.0", who, f"{who} {number}")
            reasons.append(f"{who} {number}")

    threads = [threading.Thread(target=retire, args=(who,)) for who in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    history = ModelRegistry(connect()["processed/models"]).version(name, "1.0").history
    assert sorted(change.why for change in history[1:]) == sorted(reasons)
    assert len(reasons) == 6


def test_a_rollback_brings_back_what_nobody_retired(registry, register, name, catalog):
    versions = ["1.0", "1.1", "1.2"]
    register(*versions)
    for version in versions:
        registry.promote(name, version, "ann", "newer")
    registry.retire(name, "1.1", "ann", "trained on damaged maps")
    assert registry.rollback(name, "bob", "worse").version == "1.0"
    assert list(stages(registry, name).values()) == ["production", "retired", "retired"]
    node = catalog["processed/models", name]
    assert list(node.search(Key("stage") == "production")) == ["1.0"]
    with pytest.raises(ModelError, match=r"1\.0 took the place of no version"):
        registry.rollback(name, "bob", "worse")


def test_what_is_in_production_cannot_be_retired(registry, register, name):
    register("1.0", "1.1")
    registry.promote(name, "1.0", "ann", "the first")
    with pytest.raises(ModelError, match=r"1\.0 is in production: promote another"):
        registry.retire(name, "1.0", "ann", "worse")
    retired = registry.retire(name, "1.1", "ann", "no use")
    assert (retired.stage, retired.history[-1].why) == ("retired", "no use")
    again = registry.retire(name, "1.1", "ann", "trained on damaged maps")
    assert again.history[-1].why == "trained on damaged maps"


def test_what_is_not_there_is_named_with_what_is(registry, register, name):
    with pytest.raises(ModelError, match=f"no model '{name}'.*ainerd model register"):
        registry.production(name)
    register("1.0")
    with pytest.raises(ModelError, match=r"only 1\.0 \(candidate\).*model promote"):
        registry.fetch(name)
    with pytest.raises(ModelError, match=rf"{name} has no version '2\.0', only 1\.0"):
        registry.promote(name, "2.0", "ann", "better")


def test_a_catalog_without_a_registry_is_named(catalog):
    with pytest.raises(ConfigError, match="has no 'processed/nothing'"):
        open_registry(catalog, "processed/nothing")


def test_fetching_again_asks_for_no_weights(
    registry, register, name, tmp_path, monkeypatch
):
    register("1.0")
    folder = registry.fetch(name, "1.0", tmp_path)
    monkeypatch.setattr(models, "read_weights", lambda *_: pytest.fail("was asked"))
    assert registry.fetch(name, "1.0", tmp_path) == folder


@pytest.mark.parametrize("damage", ["weights", "card", "all"])
def test_a_damaged_copy_is_fetched_again(registry, register, name, tmp_path, damage):
    register("1.0")
    folder = registry.fetch(name, "1.0", tmp_path)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for path in folder.iterdir():
        if damage == "all":
            path.unlink()
        elif (path.suffix == ".json") == (damage == "card"):
            path.write_bytes(path.read_bytes()[:100])
    assert registry.fetch(name, "1.0", tmp_path) == folder
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def exchange_weights(node):
    content = np.array(node["weights"].read())
    content[-1] ^= 1
    node["weights"].write(content)


def exchange_for(content):
    def change(node):
        node.delete_contents("weights", external_only=False)
        node.write_array(content, key="weights")

    return change


def change_card(**changes):
    def change(node):
        node.update_metadata({"card": changes})

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (exchange_weights, r"its weights have sha256 \w{12}.* or were exchanged"),
        (change_card(format_version=99), "format version 99"),
        (change_card(name="other"), r"its card is that of other 1\.0"),
        (change_card(weights="../../evil"), "letters, digits"),
        (lambda node: node.delete_contents("weights", external_only=False), "no 'wei"),
        (exchange_for(np.zeros((2, 2), np.uint8)), r"uint8 of shape \(2, 2\)"),
        (exchange_for(np.zeros(9)), "float64 of shape"),
    ],
    ids=["weights", "format", "name", "path", "none", "shape", "type"],
)
def test_a_model_that_is_not_what_it_says_is_never_kept(
    registry, register, name, catalog, tmp_path, change, message
):
    register("1.0")
    change(catalog["processed/models", name, "1.0"])
    with pytest.raises((ModelError, ConfigError), match=message):
        registry.fetch(name, "1.0", tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_fetches_at_once_give_one_whole_copy(connect, register, name, tmp_path):
    register("1.0")
    folders, barrier = [], threading.Barrier(3)

    def fetch():
        own = ModelRegistry(connect()["processed/models"])
        barrier.wait(10)
        folders.append(own.fetch(name, "1.0", tmp_path))

    threads = [threading.Thread(target=fetch) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(folders)) == 1
    assert len(folders) == 3
    assert list((tmp_path / name).iterdir()) == [folders[0]]


def test_the_server_refuses_a_stage_that_there_is_not(register, name, catalog):
    register("1.0")
    with pytest.raises(ClientError, match="stage must be one of"):
        catalog["processed/models", name, "1.0"].update_metadata({"stage": "best"})


# --- Following the registry -----------------------------------------------------


@pytest.fixture
def beamline(tmp_path, tiled_server):
    def make(model):
        return BeamlineConfig(
            name="x",
            detector={"field": "eiger"},
            partition={"path": tmp_path / "none"},
            classification=ClassificationConfig(model=model),
            catalog=CatalogConfig(uri=tiled_server.uri),
            flow=FlowConfig(outbox=tmp_path / "outbox"),
        )

    return make


@pytest.fixture
def source(beamline):
    return lambda model: ModelSource(beamline(model))


def test_the_model_in_production_is_followed(registry, register, name, catalog, source):
    register("1.0", "1.1")
    registry.promote(name, "1.0", "ann", "the first")
    followed = source(f"registry:{name}")
    first = followed.current(lambda: catalog)
    assert followed.current(lambda: catalog) is first
    registry.promote(name, "1.1", "ann", "better")
    second = followed.current(lambda: catalog)
    registry.rollback(name, "ann", "worse")
    third = followed.current(lambda: catalog)
    assert [model.version for model in (first, second, third)] == ["1.0", "1.1", "1.0"]
    assert first.sha256 == third.sha256 != second.sha256


def test_a_version_that_is_named_stays(registry, register, name, catalog, source):
    register("1.0", "1.1")
    registry.promote(name, "1.1", "ann", "better")
    named = source(f"registry:{name}@1.0")
    assert named.current(lambda: catalog).version == "1.0"
    assert named.current(lambda: pytest.fail("was asked")).version == "1.0"


def test_a_model_of_a_folder_needs_no_server(source, make_model):
    model = source(str(make_model())).current(lambda: pytest.fail("was asked"))
    assert model.version == "1.0"


def test_check_says_which_version_a_beamline_uses(
    registry, register, name, beamline, tiled_server
):
    register("1.0")
    config = beamline(f"registry:{name}")
    before = _check_registered(config, name, None, api_key=tiled_server.api_key)
    assert (before.level, "ainerd model promote" in before.text) == ("error", True)
    registry.promote(name, "1.0", "ann", "the first")
    after = _check_registered(config, name, None, api_key=tiled_server.api_key)
    assert (after.level, "version 1.0, production" in after.text) == ("ok", True)


# --- Commands -------------------------------------------------------------------


@pytest.fixture
def environment(tiled_server):
    return {"TILED_API_KEY": tiled_server.api_key, "COLUMNS": "140", "TERM": "dumb"}


@pytest.fixture
def ainerd_model(tiled_server, environment):
    register_model_commands()

    def run(*arguments):
        words = [*map(str, arguments), "--uri", tiled_server.uri]
        done = CliRunner().invoke(model_app, words, env=environment)
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


def test_commands_bring_a_model_into_production_and_back(
    ainerd_model, make_model, name, tmp_path
):
    said = [
        ainerd_model("register", make_model("1.0"), "--production"),
        ainerd_model("register", make_model("1.1"), "--who", "ann"),
        ainerd_model("promote", name, "1.1", "--why", "fewer mistakes"),
        ainerd_model("rollback", name, "--why", "it was not"),
        ainerd_model("retire", name, "1.1", "--why", "never again"),
    ]
    assert [text.partition(",")[0] for text in said] == [
        f"{name} 1.0 is in production",
        f"{name} 1.1 is a candidate",
        f"{name} 1.1 is in production",
        f"{name} 1.0 is in production",
        f"{name} 1.1 is retired",
    ]
    table = ainerd_model("list", name)
    for word in ("production", "ann", "replaced by 1.1: fewer mistakes", "it was not"):
        assert word in table
    rows = json.loads(ainerd_model("list", "--json"))
    mine = {row["version"]: row["stage"] for row in rows if row["name"] == name}
    assert mine == {"1.0": "production", "1.1": "retired"}
    folder = ainerd_model("fetch", name, "--output", tmp_path / "cache").strip()
    assert load_model(folder).version == "1.0"


def test_a_command_that_cannot_be_done_says_so_in_one_line(
    tiled_server, environment, name
):
    command = [sys.executable, "-m", "ainerd_bluesky", "model", "fetch", name]
    answer = subprocess.run(
        [*command, "--uri", tiled_server.uri],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1
    assert answer.stderr.startswith(f"error: no model '{name}'")
    assert answer.stderr.count("\n") == 1
