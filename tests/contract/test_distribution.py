"""What the wheel installs, under which names, and that nobody else owns them."""

import subprocess
import sys
import zipfile
from importlib.metadata import distributions, entry_points, packages_distributions
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
PACKAGES = {"ainerd_bluesky", "tiled_adapters", "flows"}


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_wheel_ships_the_three_packages_and_nothing_else(wheel_names):
    tops = {name.partition("/")[0] for name in wheel_names}
    assert {
        top for top in tops if not top.endswith((".data", ".dist-info"))
    } == PACKAGES


@pytest.mark.parametrize(
    "part",
    [
        ".data/data/share/ainerd-bluesky/profiles/beamlines/demo.toml",
        "ainerd_bluesky/ml/weights/",
        "ainerd_bluesky/py.typed",
    ],
)
def test_wheel_holds(wheel_names, part):
    assert any(part in name for name in wheel_names)


def test_nobody_else_installs_our_package_names():
    owners = packages_distributions()
    assert all(
        set(owners.get(package, [])) <= {"ainerd-bluesky"} for package in PACKAGES
    )


@pytest.mark.parametrize("group", ["ainerd.commands", "tiled.special_client"])
def test_every_entry_point_loads(group):
    ours = [entry for entry in entry_points(group=group) if is_ours(entry)]
    assert ours
    assert all(callable(entry.load()) for entry in ours)


def is_ours(entry):
    return entry.module.partition(".")[0] in PACKAGES


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_package_comes_from_this_checkout(package):
    spec = find_spec(package)
    assert spec is not None
    assert Path(str(spec.origin)).is_relative_to(ROOT)


def test_every_pinned_version_installs_on_the_oldest_python_that_we_name():
    # boost-corr runs on it but does not say so; `make peers` ignores what it says.
    wanted = {
        each.name: each.metadata.get("Requires-Python", ">=3")
        for each in distributions()
        if each.name != "boost-corr"
    }
    too_new = {
        name: python
        for name, python in wanted.items()
        if not SpecifierSet(python).contains("3.11.0")
    }
    assert wanted
    assert not too_new
