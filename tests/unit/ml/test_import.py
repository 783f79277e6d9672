import subprocess
import sys

import pytest

import ainerd_bluesky.ml as ml

IMPORTS = {
    "package": "import ainerd_bluesky.ml",
    "classification": "from ainerd_bluesky.ml import Classification",
    "sample": "from ainerd_bluesky.ml import to_sample",
    "classifier": "from ainerd_bluesky.ml import Model",
    "commands": "from ainerd_bluesky.ml.commands import model_app",
}


@pytest.mark.parametrize("statement", IMPORTS.values(), ids=IMPORTS.keys())
def test_import_without_torch_and_sklearn(statement):
    code = f"{statement}; import sys; print(*{{'torch', 'sklearn'}} & set(sys.modules))"

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == []


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'oracle'"):
        ml.oracle  # noqa: B018 - the access is what is tested


def test_every_public_name_is_there():
    pytest.importorskip("torch")

    assert all(callable(getattr(ml, name)) for name in ml.__all__)
