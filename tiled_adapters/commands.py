"""Commands of `ainerd` that concern the Tiled server and files."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tiled_adapters.agent_commands import register_agent_commands
from tiled_adapters.association_commands import register_association_commands
from tiled_adapters.cluster_commands import clusters_app
from tiled_adapters.command_parts import (
    DEFAULT_PATH,
    DEFAULT_URI,
    ForceOption,
    JsonOption,
    LabelOption,
    PathOption,
    SampleOption,
    UriOption,
    open_results,
    short_uids,
)
from tiled_adapters.command_progress import require_free, require_writable
from tiled_adapters.decision_commands import register_decision_commands
from tiled_adapters.explore_commands import register_explore_commands
from tiled_adapters.model_commands import register_model_commands
from tiled_adapters.naming_commands import register_naming_commands

if TYPE_CHECKING:
    import pandas as pd

    from ainerd_bluesky.xpcs.data.roi import QPartition
    from tiled_adapters.geometry import DetectorGeometry

__all__ = ["register"]

_PANEL = "At a beamline"
_FILES_PANEL = "Files and archives"


def register(app: typer.Typer) -> None:
    """Add `serve`, `labels`, `qmap` and `export` to the command line."""
    app.command(rich_help_panel=_PANEL)(serve)
    app.command(rich_help_panel=_PANEL)(labels)
    app.command(rich_help_panel=_FILES_PANEL)(qmap)
    app.command(rich_help_panel=_FILES_PANEL)(export)
    register_agent_commands(app)
    register_explore_commands(app)
    register_association_commands(app)
    register_decision_commands(app)
    register_model_commands()
    register_naming_commands(app)
    app.add_typer(clusters_app, name="clusters", rich_help_panel=_PANEL)


def serve(
    folder: Annotated[Path, typer.Argument(help="Where the server keeps its data.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 8000,
    readable: Annotated[
        list[Path] | None, typer.Option(help="Folder of detector files; repeatable.")
    ] = None,
) -> None:
    """Run a Tiled server for runs, results and models.

    Its key is TILED_API_KEY, or one that is made once; FOLDER/api_key holds it.
    """
    import warnings

    from tiled_adapters.serving import ensure_api_key, require_unserved, run_server

    # Tiled warns about its own configuration objects; the log has what matters.
    warnings.simplefilter("ignore")
    console = Console(emoji=False)
    require_unserved(folder)
    key = ensure_api_key(folder, os.environ.get("TILED_API_KEY"))
    key_source = f"$(cat {folder / 'api_key'})"

    def announce(uri: str) -> None:
        place, log = escape(str(folder.resolve())), escape(str(folder / "server.log"))
        console.print(f"[bold green]serving[/] {place} at [bold]{uri}[/]")
        console.print(f"  log: {log}   stop: Ctrl+C", soft_wrap=True)
        lines = (
            f"export TILED_API_KEY={key_source}   # in the shell, then in Python:\n\n"
            "from tiled_adapters.catalog import open_catalog\n"
            f'catalog = open_catalog("{uri}")\n'
            'catalog["processed/xpcs"].labels_table()'
        )
        console.print(Panel(Text(lines), title="connect", expand=False))

    run_server(
        folder,
        host=host,
        port=port,
        api_key=key,
        readable=readable or (),
        announce=announce,
    )


def labels(
    uri: UriOption = DEFAULT_URI,
    label: LabelOption = None,
    min_confidence: Annotated[
        float | None, typer.Option(min=0, max=1, help="Only labels at least so sure.")
    ] = None,
    sample: SampleOption = None,
    path: PathOption = DEFAULT_PATH,
    as_json: JsonOption = False,
) -> None:
    """List the labels of the runs on a server."""
    with open_results(uri, path) as (_, results):
        found = results.find(label=label, min_confidence=min_confidence, sample=sample)
        frame = found.labels_table()
        if as_json:
            typer.echo(frame.to_json(orient="records"))
            return
        Console(emoji=False).print(_as_table(frame, short_uids(results)))


def qmap(
    output: Annotated[Path, typer.Argument(help="HDF5 file to write.")],
    poni: Annotated[
        Path | None, typer.Option(help="Calibration of pyFAI; the rest goes above it.")
    ] = None,
    detector: Annotated[
        str | None, typer.Option(help="Detector as pyFAI calls it, such as Eiger4M.")
    ] = None,
    frames: Annotated[
        Path | None,
        typer.Option(help="File of frames: their shape, masked pixels, geometry."),
    ] = None,
    shape: Annotated[
        tuple[int, int] | None, typer.Option(metavar="ROWS COLUMNS", help="Of a frame.")
    ] = None,
    beam_center: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="ROW COLUMN", help="Direct beam; whole numbers are pixel centres."
        ),
    ] = None,
    pixel_size: Annotated[float | None, typer.Option(help="Metres.")] = None,
    distance: Annotated[
        float | None, typer.Option(help="Sample to detector along the beam, metres.")
    ] = None,
    energy: Annotated[float | None, typer.Option(help="Of the photons, keV.")] = None,
    wavelength: Annotated[float | None, typer.Option(help="Å, if not energy.")] = None,
    tilt: Annotated[
        float | None, typer.Option(help="Of the detector, degrees, as in FIT2D.")
    ] = None,
    tilt_plane: Annotated[
        float | None, typer.Option(help="Direction of the tilt, degrees.")
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(help="Image (.npy, .tif, .edf, HDF5): nonzero pixels are used."),
    ] = None,
    invert_mask: Annotated[
        bool, typer.Option("--invert-mask", help="Nonzero pixels are not used.")
    ] = False,
    q_min: Annotated[float | None, typer.Option(help="1/Å; default: lowest.")] = None,
    q_max: Annotated[float | None, typer.Option(help="1/Å; default: highest.")] = None,
    n_q: Annotated[int, typer.Option(min=1, help="Rings.")] = 10,
    log: Annotated[
        bool, typer.Option("--log", help="Rings grow by a factor instead of a step.")
    ] = False,
    n_phi: Annotated[int, typer.Option(min=1, help="Sectors of a ring.")] = 1,
    n_static: Annotated[
        int, typer.Option(min=1, help="Most static bins of a q-bin.")
    ] = 10,
    png: Annotated[
        Path | None, typer.Option(help="Picture; default: beside the output.")
    ] = None,
    force: ForceOption = False,
) -> None:
    """Make a q-partition from the geometry of a detector.

    boost-corr, xpcs-viewer and `--partition` of the other commands read it. pyFAI
    computes it: `pip install "ainerd-bluesky[geometry]"`.
    """
    from tiled_adapters.geometry import DetectorGeometry
    from tiled_adapters.partition_picture import draw_partition
    from tiled_adapters.partitions import QmapRequest, make_qmap

    picture = output.with_suffix(".png") if png is None else png
    _check_outputs(output, picture, (frames, mask, poni), is_forced=force)
    if energy is not None and wavelength is not None:
        raise typer.BadParameter("give --energy or --wavelength, not both")
    if energy is not None:
        wavelength = DetectorGeometry.wavelength_of(energy)
    made = make_qmap(
        QmapRequest(
            poni=poni,
            detector=detector,
            frames=frames,
            shape=shape,
            beam_center=beam_center,
            pixel_size=pixel_size,
            distance=distance,
            wavelength=wavelength,
            tilt=tilt,
            tilt_plane=tilt_plane,
            mask=mask,
            is_mask_inverted=invert_mask,
            q_min=q_min,
            q_max=q_max,
            n_q=n_q,
            n_phi=n_phi,
            n_static=n_static,
            spacing="log" if log else "linear",
        )
    )
    made.write(output)
    draw_partition(made.partition, picture)
    console = Console(emoji=False)
    console.print(_bin_table(made.partition))
    console.print(_geometry_line(made.geometry), soft_wrap=True)
    for line in made.conflicts:
        console.print(f"[yellow]differs:[/] {escape(line)}", soft_wrap=True)
    console.print(f"wrote {escape(str(output))} and {escape(str(picture))}")


def export(
    run_uid: Annotated[str, typer.Argument(help="Run; its first characters may do.")],
    output: Annotated[Path, typer.Option(help="HDF5 file to write.")],
    uri: UriOption = DEFAULT_URI,
    partition: Annotated[
        Path | None,
        typer.Option(help="q-partition of the run, where the result has none."),
    ] = None,
    path: PathOption = DEFAULT_PATH,
    force: ForceOption = False,
) -> None:
    """Write the result of a run as boost-corr would: xpcs-viewer opens it.

    The same file has a NeXus view (NXxpcs) and says how the result was made.
    """
    from tiled_adapters.export import export_result, published_analysis

    require_writable(output)
    require_free(output, inputs=[partition], is_forced=force)
    with open_results(uri, path) as (_, results):
        try:
            run = results[run_uid]
        except KeyError as error:
            raise typer.BadParameter(f"no result of a run {error}") from error
        missing = export_result(published_analysis(run), output, partition=partition)
    console = Console(emoji=False)
    console.print(f"wrote {escape(str(output))}", soft_wrap=True)
    for line in missing:
        console.print(f"[yellow]not known:[/] {escape(line)}", soft_wrap=True)


def _check_outputs(
    output: Path, picture: Path, inputs: Iterable[Path | None], *, is_forced: bool
) -> None:
    """Refuse files that may not or cannot be written, before anything is computed."""
    if picture == output:
        raise typer.BadParameter(f"{output} would be overwritten by its own picture")
    for path in (output, picture):
        require_writable(path)
        require_free(path, inputs=inputs, is_forced=is_forced)


def _geometry_line(geometry: "DetectorGeometry") -> str:
    row, col = geometry.beam_center
    return (
        f"beam centre {row:.6g} {col:.6g}, pixel {geometry.pixel_size:.6g} m, "
        f"distance {geometry.distance:.6g} m, wavelength {geometry.wavelength:.6g} Å"
    )


def _bin_table(partition: "QPartition") -> Table:
    """Return one row per q-bin."""
    table = Table(title=f"{partition.n_q_bins} q-bins, {partition.shape} pixels")
    for header in ("q-bin", "q [1/Å]", "phi [deg]", "pixels", "static bins"):
        table.add_column(escape(header), justify="right")
    for row in _bin_rows(partition):
        table.add_row(*row)
    return table


def _bin_rows(partition: "QPartition") -> Iterable[tuple[str, ...]]:
    import numpy as np

    labels, static = partition.roi_map, partition.static_map
    n_pixels = np.bincount(labels.reshape(-1))
    n_static = np.ones(len(n_pixels), int)
    if static is not None:
        pairs = np.unique(np.stack([labels[static > 0], static[static > 0]]), axis=1)
        n_static = np.bincount(pairs[0], minlength=len(n_pixels))
    for label in range(1, partition.n_q_bins + 1):
        q, phi = partition.q_values[label - 1], partition.phi_values[label - 1]
        counts = (str(n_pixels[label]), str(n_static[label]))
        yield (str(label), f"{q:.5g}", _number(phi, ".1f"), *counts)


def _as_table(frame: "pd.DataFrame", shown: dict[str, str]) -> Table:
    """Return the columns that fit a terminal."""
    table = Table(title=f"{len(frame)} runs")
    for header in ("label", "confidence", "sample", "relaxation time [s]", "q [1/Å]"):
        table.add_column(escape(header), overflow="fold")
    table.add_column("run", overflow="fold")
    for row in frame.to_dict("records"):
        cells = (
            str(row["label"]),
            _number(row["confidence"], ".2f"),
            str(row["sample"] or ""),
            _number(row["relaxation_time"], ".3g"),
            _number(row["q"], ".3g"),
            shown.get(row["run_uid"], row["run_uid"]),
        )
        table.add_row(*map(Text, cells))
    return table


def _number(value: float | None, form: str) -> str:
    """Format a number; nothing where there is none."""
    return "" if value is None or value != value else format(value, form)
