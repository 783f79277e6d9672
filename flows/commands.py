"""The commands of flows: files in, answers or Tiled nodes out; models trained."""

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ainerd_bluesky.errors import ConfigError
from flows.training_commands import register_training_commands
from tiled_adapters.command_parts import ForceOption
from tiled_adapters.command_progress import require_free

if TYPE_CHECKING:
    from ainerd_bluesky.config import BeamlineConfig

__all__ = ["register"]

_PANEL = "Files and archives"


def _check_frame_time(seconds: float | None) -> float | None:
    if seconds is not None and not 0 < seconds < math.inf:
        raise typer.BadParameter(f"a frame takes more than 0 s, got {seconds:g}")
    return seconds


def _check_model(model: str) -> str:
    if model.startswith("registry:"):
        raise typer.BadParameter(
            f"{model!r} is on a server: `ainerd model fetch NAME` prints its folder"
        )
    return model


Dataset = Annotated[
    str | None,
    typer.Option(help="Path inside the file, where it holds several arrays."),
]
FrameTime = Annotated[
    float | None,
    typer.Option(
        callback=_check_frame_time, help="Start-to-start time of frames, in seconds."
    ),
]
Raw = Annotated[bool, typer.Option("--raw", help="The files hold detector frames.")]
Partition = Annotated[
    Path | None, typer.Option(help="q-partition of the frames (HDF5 with /qmap).")
]
ModelFolder = Annotated[
    str,
    typer.Option(
        callback=_check_model, help="Model to use: `shipped`, or a model's folder."
    ),
]
BeamlineName = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Beamline file or name: its thresholds, estimators, engine, q-partition.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this package to the command line."""
    app.command(rich_help_panel="Start here")(classify)
    app.command(rich_help_panel=_PANEL)(ingest)
    register_training_commands(app)


def classify(
    file: Annotated[
        Path,
        typer.Argument(
            exists=True,
            dir_okay=False,
            help="Two-time maps (.npy, .npz, .h5), or a result file.",
        ),
    ],
    dataset: Dataset = None,
    frame_time: FrameTime = None,
    raw: Raw = False,
    partition: Partition = None,
    beamline: BeamlineName = None,
    model: ModelFolder = "shipped",
    json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
    png: Annotated[
        Path | None, typer.Option(help="Also draw the maps into this file.")
    ] = None,
    force: ForceOption = False,
) -> None:
    """Answer for one file: label, confidence and physics. Needs no server.

    Without a frame time, rates are per frame.
    """
    if png is not None:
        _check_picture(png)  # first: an analysis can take long
        require_free(png, inputs=[file, partition], is_forced=force)

    from ainerd_bluesky.ml import load_model
    from flows.archive import FileReading, analyse_file
    from flows.report import draw_analysis, print_analysis, print_json

    config = _read_beamline(beamline)
    reading = FileReading(
        dataset, frame_time, 1.0, raw, partition or _partition_of(config)
    )
    analysis = analyse_file(file, load_model(model), reading, config=config)
    if json:
        print_json(analysis)
    else:
        print_analysis(analysis)
    if png is not None:
        draw_analysis(analysis, png)


def ingest(
    paths: Annotated[
        list[Path], typer.Argument(help="Files, or folders to search for files.")
    ],
    uri: Annotated[
        str, typer.Option(help="Tiled URI or profile; the key is TILED_API_KEY.")
    ] = "http://127.0.0.1:8000",
    dataset: Dataset = None,
    frame_time: FrameTime = None,
    raw: Raw = False,
    partition: Partition = None,
    beamline: BeamlineName = None,
    model: ModelFolder = "shipped",
) -> None:
    """Classify files of an archive and publish their labels to a Tiled server.

    A file that cannot be read is named with the reason, and the rest goes on; if the
    server fails, the rest is listed as not done. The exit code is then 1. A file that
    is there already is not written again.
    """
    from ainerd_bluesky.ml import load_model
    from flows.archive import Archive, FileReading
    from flows.archive_files import find_files
    from flows.report import print_ingested
    from tiled_adapters.catalog import open_catalog

    files = find_files(paths)
    if not files:
        raise ConfigError(f"no data files in {', '.join(map(str, paths))}")
    config = _read_beamline(beamline)
    root = open_catalog(uri)  # first: a server that is away is found out at once
    reading = FileReading(
        dataset, frame_time, None, raw, partition or _partition_of(config)
    )
    archive = Archive(root, load_model(model), reading, config=config)
    rows = print_ingested(archive.ingest(files), len(files))
    if any(row.error for row in rows):
        raise typer.Exit(1)


def _read_beamline(beamline: str | None) -> "BeamlineConfig | None":
    from flows.beamline import read_beamline

    return None if beamline is None else read_beamline(beamline)


def _partition_of(config: "BeamlineConfig | None") -> Path | None:
    return None if config is None else config.partition.path


def _check_picture(path: Path) -> None:
    """Refuse a picture that could not be written."""
    if path.is_dir():
        raise ConfigError(f"cannot write {path}: it is a folder")
    if not os.access(path.parent, os.W_OK):
        raise ConfigError(f"cannot write {path}: no folder {path.parent} to write into")
