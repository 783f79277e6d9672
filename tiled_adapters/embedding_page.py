"""A map of runs as a web page: one file, that needs no network."""

import base64
import json
import math
from pathlib import Path
from string import Template
from typing import Any

import plotly.graph_objects as go

from tiled_adapters.embedding_map import EmbeddingMap
from tiled_adapters.embedding_picture import label_colours, thumbnail_png

__all__ = ["write_embedding_page"]

_MOST_CARDS = 60
"""Maps shown of a selection."""
_MOST_PLAIN = 5000

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Map of runs</title>
<style>
/* Columns are there before the plot is drawn, which takes its width only once. */
body { margin: 0; font: 14px system-ui, sans-serif; height: 100vh;
  display: grid; grid-template-columns: minmax(0, 1fr) 324px; }
#side { grid-area: 1 / 2; overflow-y: auto; padding: 12px;
  border-left: 1px solid #ccc; }
.card { margin-bottom: 14px; overflow-wrap: anywhere; }
.card img { width: 100%; image-rendering: pixelated; border: 4px solid; }
.card .none { background: #eee; color: #555; padding: 30px 8px; border: 4px solid; }
.many { display: grid; grid-template-columns: 1fr 1fr; gap: 8px; }
.many .card { font-size: 11px; }
h1 { font-size: 15px; margin: 0 0 8px; }
</style>
</head>
<body>
<!-- Before the plot, whose script writes into it. -->
<div id="side"><h1 id="title"></h1><div id="cards"></div></div>
$figure
</body>
</html>
""")

_SCRIPT = Template("""
const runs = $runs, most = $most;
const hint = 'Point at a run to see its map; draw a box or a lasso to see several.';
const title = document.getElementById('title');
const cards = document.getElementById('cards');
let chosen = null;
function card(run) {
  const box = document.createElement('div');
  box.className = 'card';
  const picture = document.createElement(run.png ? 'img' : 'div');
  if (run.png) picture.src = 'data:image/png;base64,' + run.png;
  else { picture.className = 'none'; picture.textContent = 'no picture: --thumbnails'; }
  picture.style.borderColor = run.colour;
  box.appendChild(picture);
  for (const line of run.lines) {
    const text = document.createElement('div');
    text.textContent = line;
    box.appendChild(text);
  }
  return box;
}
function show(points, text, className) {
  title.textContent = text;
  cards.className = className;
  const some = points.slice(0, most);
  cards.replaceChildren(...some.map((point) => card(runs[point.customdata])));
}
function reset() {
  if (chosen) show(chosen, chosen.length + ' runs'
    + (chosen.length > most ? ', the first ' + most : ''), 'many');
  else show([], hint, '');
}
const plot = document.getElementById('map');
plot.on('plotly_hover', (event) => show(event.points.slice(0, 1), '', ''));
plot.on('plotly_unhover', () => { if (chosen) reset(); });
plot.on('plotly_selected', (event) => {
  chosen = event && event.points.length ? event.points : null;
  reset();
});
plot.on('plotly_deselect', () => { chosen = null; reset(); });
reset();
""")


def write_embedding_page(chart: EmbeddingMap, path: Path) -> None:
    """Write a map of runs as one HTML file.

    Pointing at a run shows its two-time map, a box or a lasso those of several.

    Parameters
    ----------
    chart : EmbeddingMap
        What to show.
    path : Path
        HTML file to write; its folder must exist.
    """
    colours = label_colours(chart.runs["label"].tolist())
    cards = [_card(row, chart, colours) for row in _rows(chart)]
    figure = _figure(chart, colours)
    # A text that ends the script would let a sample's name speak in the page.
    texts = json.dumps(cards).replace("<", "\\u003c")
    plot = figure.to_html(
        full_html=False,
        include_plotlyjs=True,
        div_id="map",
        default_height="100vh",
        post_script=_SCRIPT.substitute(runs=texts, most=_MOST_CARDS),
        config={"responsive": True, "scrollZoom": True, "displaylogo": False},
    )
    path.write_text(_PAGE.substitute(figure=plot), encoding="utf-8")


def _figure(chart: EmbeddingMap, colours: dict[str, str]) -> go.Figure:
    # Thousands of points need WebGL, which remote desktops often lack.
    scatter = go.Scatter if len(chart.runs) <= _MOST_PLAIN else go.Scattergl
    figure = go.Figure()
    for label, colour in colours.items():
        group = chart.runs[chart.runs["label"] == label]
        figure.add_trace(
            scatter(
                x=group["x"].tolist(),
                y=group["y"].tolist(),
                customdata=group.index.tolist(),
                mode="markers",
                name=f"{label} ({len(group)})",
                hoverinfo="none",
                marker={"color": colour, "size": 8, "opacity": 0.8},
            )
        )
    figure.update_layout(
        title={"text": f"{len(chart.runs)} runs by {chart.model}"},
        xaxis={"title": {"text": "axis 1"}, "zeroline": False},
        yaxis={"title": {"text": "axis 2"}, "zeroline": False},
        dragmode="pan",
        template="plotly_white",
        margin={"l": 60, "r": 10, "t": 60, "b": 50},
        modebar={"add": ["select2d", "lasso2d"]},
    )
    return figure


def _card(
    row: dict[str, Any], chart: EmbeddingMap, colours: dict[str, str]
) -> dict[str, Any]:
    """Return what the page tells of a run."""
    thumbnail = chart.thumbnails.get(row["run_uid"])
    png = None if thumbnail is None else thumbnail_png(thumbnail)
    lines = [
        f"{row['label']} ({row['confidence']:.2f})",
        *([f"sample {row['sample']}"] if row["sample"] else []),
        *_number(row["relaxation_time"], "relaxation time {:.3g} s"),
        *_number(row["q"], "q {:.3g} 1/Å"),
        *_number(row["novelty"], "novelty {:.2f}"),
        row["run_uid"],
    ]
    return {
        "png": None if png is None else base64.b64encode(png).decode(),
        "colour": colours[row["label"]],
        "lines": lines,
    }


def _rows(chart: EmbeddingMap) -> list[dict[str, Any]]:
    return [
        {str(name): value for name, value in row.items()}
        for row in chart.runs.to_dict("records")
    ]


def _number(value: float, form: str) -> list[str]:
    return [] if math.isnan(value) else [form.format(value)]
