import numpy as np
import pytest
from matplotlib.figure import Figure

from ainerd_bluesky.ml.association import Dynamics, associate
from tiled_adapters.association_picture import draw_associations


@pytest.fixture
def titles(monkeypatch):
    """Titles of the panels of the picture that is saved."""
    seen = []

    def save(figure, *_, **__):
        seen.extend(axes.get_title() for axes in figure.axes)

    monkeypatch.setattr(Figure, "savefig", save)
    return seen


def make_dynamics(rng, labels, *, is_known=True):
    rates = np.exp(rng.standard_normal(20))
    fingerprints = np.stack([np.log(rates), rng.random(20)], axis=1)
    return Dynamics(
        labels=np.array(labels),
        fingerprints=fingerprints if is_known else np.full((20, 1), np.nan),
        physics={"relaxation_rate": rates if is_known else np.full(20, np.nan)},
        groups=np.arange(20),
    )


def draw(dynamics, path):
    properties = {"stress": np.log(dynamics.physics["relaxation_rate"]) + 3}
    if np.isnan(properties["stress"]).any():
        properties = {"stress": np.arange(20.0)}
    report = associate(dynamics, properties, n_permutations=99)
    draw_associations(dynamics, properties, report, path)


def test_panels_tell_the_answers(rng, titles, tmp_path):
    draw(make_dynamics(rng, ["aging", "static"] * 10), tmp_path / "a.png")
    assert titles[0].startswith("rank correlation 1.00, p = 0.0")
    assert titles[1].startswith("the label tells 0.")
    assert titles[2].startswith("from the fingerprint: Q2 1.00, p = 0.0")


def test_panels_say_what_is_missing(rng, titles, tmp_path):
    draw(make_dynamics(rng, ["aging"] * 20, is_known=False), tmp_path / "a.png")
    assert titles == [
        "no quantity known for enough runs",
        "the label tells nothing: all runs have the same",
        "fingerprints of too few runs",
    ]


def test_picture_is_a_png(rng, tmp_path):
    draw(make_dynamics(rng, ["aging", ""] * 10), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
