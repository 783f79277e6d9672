"""What an import may load, and how long it may take, in a fresh interpreter."""

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "sklearn", "tiled", "prefect", "bluesky", "h5py", "matplotlib")

CASES = {
    "ainerd_bluesky": HEAVY,
    "ainerd_bluesky.errors": (*HEAVY, "numpy", "pydantic"),
    "ainerd_bluesky.config": (*HEAVY, "numpy", "scipy"),
    "ainerd_bluesky.xpcs": (*HEAVY, "numba"),
    "ainerd_bluesky.engines": (*HEAVY, "numba"),
    "ainerd_bluesky.xpcs.simulate": HEAVY,
    "ainerd_bluesky.selection": HEAVY,
    "ainerd_bluesky.agents": HEAVY,
    "ainerd_bluesky.ml": ("torch", "sklearn", "tiled", "prefect", "bluesky"),
    "ainerd_bluesky.ml.classification": ("torch", "sklearn", "tiled", "prefect"),
    "ainerd_bluesky.pipeline": ("torch", "sklearn", "tiled", "prefect", "bluesky"),
    "ainerd_bluesky.callbacks": ("torch", "sklearn", "prefect", "matplotlib"),
    "ainerd_bluesky.plans": ("torch", "sklearn", "prefect", "matplotlib"),
    "ainerd_bluesky.installation": ("torch", "sklearn", "prefect", "matplotlib"),
    "ainerd_bluesky.cli": HEAVY,
    "tiled_adapters": ("torch", "sklearn", "prefect", "bluesky"),
    "tiled_adapters.client": ("torch", "sklearn", "prefect"),
    "tiled_adapters.server": ("torch", "sklearn", "prefect"),
    "tiled_adapters.commands": HEAVY,
    "flows": HEAVY,
    "flows.chain": ("torch", "sklearn", "prefect"),
    "flows.commands": HEAVY,
}
PROBE = """
import json, sys, time
start = time.process_time()
import {module}
seconds = time.process_time() - start
loaded = sorted({{name.partition(".")[0] for name in sys.modules}})
print(json.dumps({{"seconds": seconds, "loaded": loaded}}))
"""


def probe(module):
    code = PROBE.format(module=module)
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return json.loads(answer.stdout)


@pytest.mark.parametrize(("module", "forbidden"), CASES.items(), ids=CASES)
def test_import_leaves_heavy_packages_alone(module, forbidden):
    assert set(probe(module)["loaded"]).isdisjoint(forbidden)


def test_importing_the_library_takes_less_than_300_ms():
    assert min(probe("ainerd_bluesky")["seconds"] for _ in range(3)) < 0.3


@pytest.mark.parametrize(
    "code",
    [
        "from ainerd_bluesky import install",
        "import ainerd_bluesky.installation; from ainerd_bluesky import install",
        "import ainerd_bluesky; install = ainerd_bluesky.install",
    ],
)
def test_install_is_the_function_however_it_is_imported(code):
    check = f"{code}; assert callable(install), install"
    subprocess.run([sys.executable, "-c", check], check=True)
