import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from ainerd_bluesky.ml.association import Dynamics, associate
from tiled_adapters.association_picture import draw_associations
from tiled_adapters.embedding_picture import label_colours


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


def draw(dynamics, path, name="stress"):
    properties = {name: np.log(dynamics.physics["relaxation_rate"]) + 3}
    if np.isnan(properties[name]).any():
        properties = {name: np.arange(20.0)}
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


def test_labels_have_the_colours_of_the_map(rng, monkeypatch, tmp_path):
    figures = []
    monkeypatch.setattr(
        Figure, "savefig", lambda figure, *_, **__: figures.append(figure)
    )
    draw(make_dynamics(rng, ["static", ""] * 10), tmp_path / "a.png")
    (legend,) = figures[0].legends
    drawn = {
        text.get_text(): to_hex(handle.get_color())
        for text, handle in zip(legend.get_texts(), legend.legend_handles, strict=True)
    }
    assert drawn == {**label_colours(["static"]), "none": "#999999"}


@pytest.mark.parametrize("name", ["$", r"$\frac$ long" * 9])
def test_picture_is_a_png(rng, tmp_path, name):
    draw(make_dynamics(rng, ["aging", name, "", "a$"] * 5), tmp_path / "a.png", name)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
