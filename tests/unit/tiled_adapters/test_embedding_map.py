"""Maps of runs as pictures and pages, of runs that are made up."""

import base64
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from ainerd_bluesky.vocabulary import DYNAMICS
from tiled_adapters.embedding_map import EmbeddingMap, farthest_first
from tiled_adapters.embedding_picture import (
    draw_embedding_map,
    label_colours,
    thumbnail_png,
)


@pytest.fixture
def embedding_map():
    labels = ["aging", "aging", "gel-like", "static"]
    runs = pd.DataFrame({
        "run_uid": ["a", "b", "c", "d"],
        "label": labels,
        "confidence": 0.9,
        "sample": ["</script><b>S1", None, "S2", "S2"],
        "relaxation_time": [0.5, np.nan, 2.0, np.nan],
        "q": [0.01, np.nan, 0.02, np.nan],
        "novelty": 0.25,
        "x": [0.0, 1.0, 2.0, 9.0],
        "y": [0.0, 1.0, 2.0, 3.0],
    })  # fmt: skip
    thumbnails = {uid: np.eye(64, dtype=np.float32) for uid in "ad"}
    return EmbeddingMap("ae 1.0", runs, np.array([[0.0, 2.0], [0.0, 3.0]]), thumbnails)


def test_chosen_points_are_spread_all_over():
    rng = np.random.default_rng(0)
    crowds = np.repeat([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]], [500, 5, 5], axis=0)

    chosen = crowds[farthest_first(crowds + rng.normal(0, 0.1, crowds.shape), 3)]

    assert sorted(map(tuple, chosen)) == [(0.0, 0.0), (0.0, 9.0), (9.0, 0.0)]


@pytest.mark.parametrize(("n_points", "n", "n_chosen"), [(3, 5, 3), (4, 0, 0)])
def test_no_point_is_chosen_twice(n_points, n, n_chosen):
    chosen = farthest_first(np.zeros((n_points, 2)), n)
    assert len(set(chosen.tolist())) == len(chosen) == n_chosen


def test_labels_have_colours_of_their_own_that_never_change():
    words = [str(word) for word in DYNAMICS]

    everything = label_colours([*words, "gel-like", "foam"])

    assert len(set(everything.values())) == len(words) + 2
    for word, colour in everything.items():
        assert label_colours([word]) == {word: colour}


def test_thumbnail_is_not_washed_out_by_the_diagonal():
    two_time = np.full((64, 64), 1.0, np.float32)
    two_time[:32, :32] = 1.2
    clean = matplotlib.image.imread(io.BytesIO(thumbnail_png(two_time)))
    np.fill_diagonal(two_time, 50.0)

    picture = matplotlib.image.imread(io.BytesIO(thumbnail_png(two_time)))

    assert picture.shape == (64, 64, 4)
    off_diagonal = ~np.eye(64, dtype=bool)
    np.testing.assert_array_equal(picture[off_diagonal], clean[off_diagonal])


def test_picture_shows_points_and_typical_maps(embedding_map, tmp_path):
    draw_embedding_map(embedding_map, tmp_path / "map.png")

    picture = matplotlib.image.imread(tmp_path / "map.png")
    n_rows, n_columns, _ = picture.shape
    assert n_columns > 1000
    assert n_rows > 900


def test_words_of_the_beamline_are_no_formulas(embedding_map, tmp_path):
    words = {"gel-like": r"$\frac{1$ " + "very " * 12 + "long", "static": "$x"}
    embedding_map.runs["label"] = embedding_map.runs["label"].replace(words)
    named = replace(embedding_map, model=r"$\model$ 1.0")

    draw_embedding_map(named, tmp_path / "map.png")

    assert matplotlib.image.imread(tmp_path / "map.png").shape[1] > 1000


def test_page_holds_everything_and_no_text_ends_the_script(embedding_map, tmp_path):
    pytest.importorskip("plotly")
    from tiled_adapters.embedding_page import write_embedding_page

    write_embedding_page(embedding_map, tmp_path / "map.html")

    page = (tmp_path / "map.html").read_text()
    assert "<b>S1" not in page
    assert not re.search(r'<(script|link)[^>]+(src|href)="http', page)
    runs = json.loads(re.search(r"const runs = (.*), most = 60;", page)[1])
    assert runs[0]["lines"] == [
        "aging (0.90)",
        "sample </script><b>S1",
        "relaxation time 0.5 s",
        "q 0.01 1/Å",
        "novelty 0.25",
        "a",
    ]
    assert [run["png"] is None for run in runs] == [False, True, True, False]
    assert base64.b64decode(runs[3]["png"]).startswith(b"\x89PNG")


_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_POINT_AT_FIRST_RUN = """<script>
const point = {points: [{customdata: 0}]};
setTimeout(() => document.getElementById('map').emit('plotly_hover', point), 500);
</script></body>"""


@pytest.fixture(scope="module")
def opened():
    """Return what a page holds after its scripts ran, by a real browser."""
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser is None:
        pytest.skip(f"no browser: none of {', '.join(_BROWSERS)}")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    wait = "--virtual-time-budget=3000"

    def dom(path):
        done = subprocess.run(
            [browser, *options, wait, path.as_uri()],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        return done.stdout.partition('id="side"')[2].partition("Plotly.newPlot")[0]

    return dom


@pytest.mark.slow
def test_page_tells_how_to_use_it_and_shows_the_run_pointed_at(
    embedding_map, tmp_path, opened
):
    from tiled_adapters.embedding_page import write_embedding_page

    page, pointed = tmp_path / "map.html", tmp_path / "pointed.html"
    write_embedding_page(embedding_map, page)
    pointed.write_text(page.read_text().replace("</body>", _POINT_AT_FIRST_RUN))

    assert "Point at a run" in opened(page)
    shown = opened(pointed)
    assert "data:image/png" in shown
    assert "aging (0.90)" in shown
    assert "sample &lt;/script&gt;&lt;b&gt;S1" in shown
