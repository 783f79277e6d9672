"""Compiled kernels are optional."""

import subprocess
import sys

import pytest

from ainerd_bluesky.xpcs.machine import acceleration
from ainerd_bluesky.xpcs.machine.acceleration import compiled_kernels


@pytest.fixture
def fresh(monkeypatch):
    """The loader without its memory; what it loads in the test is forgotten."""
    loader = compiled_kernels.__wrapped__
    monkeypatch.setattr(acceleration, "compiled_kernels", loader)
    return loader


def test_package_is_imported_without_numba():
    code = "import sys, ainerd_bluesky.xpcs; sys.exit('numba' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_kernels_are_those_of_numba():
    pytest.importorskip("numba")
    kernels = compiled_kernels()
    assert kernels is not None
    assert callable(kernels.add_pair_sums)


def test_without_numba_there_are_no_kernels(fresh, monkeypatch):
    monkeypatch.setattr(acceleration, "find_spec", lambda name: None)
    assert fresh() is None


@pytest.mark.parametrize("error", [ImportError, RuntimeError])
def test_numba_that_cannot_work_is_named(fresh, monkeypatch, caplog, error):
    def refuse(name):
        raise error("no locator available")

    monkeypatch.setattr(acceleration, "find_spec", lambda name: object())
    monkeypatch.setattr(acceleration.pkgutil, "resolve_name", refuse)
    assert fresh() is None
    assert "no locator available" in caplog.text
