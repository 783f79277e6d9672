"""The commands `ainerd clusters`: groups of like dynamics, found without labels."""

import pkgutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tiled_adapters.command_parts import (
    DEFAULT_PATH,
    DEFAULT_URI,
    PROCESS_AGAIN,
    JsonOption,
    LabelOption,
    PathOption,
    SampleOption,
    UriOption,
    WhoOption,
    open_results,
    short_uids,
)
from tiled_adapters.people import login_name

if TYPE_CHECKING:
    import pandas as pd

    from tiled_adapters.clusters import ClusterStore, StoredClusters
    from tiled_adapters.embeddings import EmbeddingTable

__all__ = ["clusters_app"]

_N_EXAMPLES = 3
_N_LABELS = 2

clusters_app = typer.Typer(
    help="Find groups of like dynamics without labels.", no_args_is_help=True
)

Name = Annotated[str, typer.Option(help="Name of the set of clusters.")]
Count = Annotated[
    int | None,
    typer.Option("--n-clusters", min=1, help="Number of clusters; unset: by BIC."),
]
Seed = Annotated[int, typer.Option(min=0, help="Rules all chance.")]


@clusters_app.command()
def fit(
    name: Name = "default",
    n_clusters: Count = None,
    max_clusters: Annotated[
        int, typer.Option(min=1, help="Most clusters to choose from.")
    ] = 15,
    within: Annotated[
        str | None, typer.Option(help="Only members of this cluster, as SET:ID.")
    ] = None,
    label: LabelOption = None,
    sample: SampleOption = None,
    seed: Seed = 0,
    who: WhoOption = None,
    uri: UriOption = DEFAULT_URI,
    path: PathOption = DEFAULT_PATH,
) -> None:
    """Find clusters in the fingerprints of all q-bins, and keep them in the catalog."""
    from tiled_adapters.clusters import ClusterStore

    query = {"label": label, "sample": sample}
    options = {
        "n_clusters": n_clusters,
        "max_clusters": max_clusters,
        "random_state": seed,
    }
    with open_results(uri, path) as (root, results):
        store = ClusterStore(root, path)
        if name in store.names():
            raise typer.BadParameter(
                f"there are clusters {name!r}: `ainerd clusters refit --name {name}` "
                "keeps their ids, another --name makes another set"
            )
        _find(results, store, name, {"query": query, "parent": within}, options, who)


@clusters_app.command()
def refit(
    name: Name = "default",
    n_clusters: Count = None,
    max_clusters: Annotated[
        int, typer.Option(min=1, help="Most clusters to choose from.")
    ] = 15,
    seed: Seed = 0,
    who: WhoOption = None,
    uri: UriOption = DEFAULT_URI,
    path: PathOption = DEFAULT_PATH,
) -> None:
    """Find clusters again, with the runs that came since; ids stay where they can."""
    from tiled_adapters.clusters import ClusterStore

    options = {
        "n_clusters": n_clusters,
        "max_clusters": max_clusters,
        "random_state": seed,
    }
    with open_results(uri, path) as (root, results):
        store = ClusterStore(root, path)
        before = store.load(name)
        chosen = {key: before.metadata[key] for key in ("query", "parent")}
        _find(results, store, name, chosen, options, who, before)


@clusters_app.command()
def show(
    name: Name = "default",
    as_json: JsonOption = False,
    uri: UriOption = DEFAULT_URI,
    path: PathOption = DEFAULT_PATH,
) -> None:
    """List clusters: how many members, what the model calls them, typical q-bins."""
    import json

    from tiled_adapters.clusters import ClusterStore
    from tiled_adapters.embeddings import run_summaries

    with open_results(uri, path) as (root, results):
        store = ClusterStore(root, path)
        clusters = store.load(name)
        runs = run_summaries(_asked(results, clusters.metadata))
        short = {} if as_json else short_uids(results)
    if as_json:
        typer.echo(json.dumps(_rows(clusters)))
        return
    console = Console(emoji=False)
    _print(console, name, clusters, short)
    last = max(clusters.metadata["published"], 0.0)
    n_later = sum(1 for run in runs if run.published > last)
    if n_later:
        console.print(
            f"{n_later} runs came since: `ainerd clusters refit --name {name}`"
        )


def _find(
    results: Any,  # noqa: ANN401 - tiled is untyped
    store: "ClusterStore",
    name: str,
    chosen: dict[str, Any],
    options: dict[str, Any],
    who: str | None,
    previous: "StoredClusters | None" = None,
) -> None:
    from tiled_adapters.clusters import find_clusters

    table, published = _read(results, store, chosen)
    # By its name: scikit-learn has no place in what merely lists nodes.
    module = "ainerd_bluesky.ml.clustering"
    clusterer = pkgutil.resolve_name(f"{module}:LatentClusters")(**options)
    is_chosen = options["n_clusters"] is None
    criterion = pkgutil.resolve_name(f"{module}:CRITERION") if is_chosen else "given"
    details = {
        **chosen,
        "criterion": criterion,
        "options": options,
        "who": who or login_name(),
        "published": published,
    }
    found = find_clusters(table, clusterer, previous=previous, details=details)
    store.save(name, found)
    console = Console(emoji=False)
    _print(console, name, found, short_uids(results))
    if previous is not None:
        _print_match(console, found)


def _read(
    results: Any,  # noqa: ANN401 - tiled is untyped
    store: "ClusterStore",
    chosen: dict[str, Any],
) -> tuple["EmbeddingTable", float]:
    """Return the fingerprints that were asked for, and when the last was published."""
    from rich.progress import track

    from tiled_adapters.clusters import members_of
    from tiled_adapters.embeddings import read_embeddings, run_summaries

    runs = run_summaries(_asked(results, chosen))
    console = Console(stderr=True, emoji=False)
    table = read_embeddings(
        results,
        runs,
        progress=lambda parts, total: track(
            parts, "reading fingerprints", total=total, console=console, transient=True
        ),
    )
    if chosen["parent"] is not None:
        table = members_of(table, store, chosen["parent"])
    return table, runs[-1].published


def _asked(results: Any, chosen: Mapping[str, Any]) -> Any:  # noqa: ANN401 - untyped
    """Return the runs that a set of clusters is about."""
    query = {key: value for key, value in chosen["query"].items() if value is not None}
    return results.find(**query)


def _print(
    console: Console, name: str, clusters: "StoredClusters", short: Mapping[str, str]
) -> None:
    """Print a set; `short` is what `name --examples` takes for the uid of a run."""
    facts = clusters.metadata
    parent = f" within {facts['parent']}" if facts["parent"] else ""
    table = Table(title=f"{len(clusters.ids)} clusters {name!r}{parent}")
    for header in ("cluster", "q-bins", "runs", "labels of the model", "typical"):
        table.add_column(header, overflow="fold")
    for row in _rows(clusters):
        labels = ", ".join(f"{word} {share:.0%}" for word, share in row["labels"])
        pairs = (reference.rsplit(":", 1) for reference in row["typical"])
        typical = " ".join(f"{short.get(uid, uid)}:{q_bin}" for uid, q_bin in pairs)
        cells = (row["cluster"], row["n_bins"], row["n_runs"], labels, typical)
        table.add_row(*(Text(str(cell)) for cell in cells))
    console.print(table)
    console.print(
        f"number of clusters: {facts['criterion']}; {facts['n_samples']} q-bins of "
        f"{facts['n_runs']} runs, model {facts['model_sha256'][:12]}, by "
        f"{facts['who']}, {facts['when']}",
        highlight=False,
    )
    if facts["n_other_models"]:
        console.print(
            f"{facts['n_other_models']} runs were left out: another model made their "
            f"result; {PROCESS_AGAIN} to have them in"
        )
    first = clusters.ids[0]
    reference = str(first) if name == "default" else f"{name}:{first}"
    console.print(f"name one: `ainerd name {reference} WORD`")


def _print_match(console: Console, clusters: "StoredClusters") -> None:
    match = clusters.metadata["match"]
    for word in ("kept", "new", "gone"):
        numbers = ", ".join(map(str, match[word])) or "none"
        console.print(f"{word}: {numbers}", highlight=False)
    console.print(
        f"{match['moved_share']:.1%} of the q-bins known before are in another cluster",
        highlight=False,
    )


def _rows(clusters: "StoredClusters") -> list[dict[str, Any]]:
    """Return what to tell of each cluster, in JSON types."""
    by_cluster = dict(list(clusters.members.groupby("cluster")))
    return [
        {"cluster": number, **_row(by_cluster.get(number, clusters.members[:0]))}
        for number in clusters.ids
    ]


def _row(members: "pd.DataFrame") -> dict[str, Any]:
    shares = members["label"].value_counts(normalize=True)[:_N_LABELS]
    nearest = members.sort_values("distance").head(_N_EXAMPLES)
    pairs = zip(nearest["run_uid"], nearest["q_bin"], strict=True)
    return {
        "n_bins": len(members),
        "n_runs": int(members["run_uid"].nunique()),
        "labels": [[str(word), float(share)] for word, share in shares.items()],
        "typical": [f"{uid}:{q_bin}" for uid, q_bin in pairs],
    }
