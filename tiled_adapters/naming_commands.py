"""The commands `name`, `names` and `relabel`: a beamline's own words for dynamics."""

import pkgutil
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ainerd_bluesky.errors import AinerdError
from tiled_adapters.command_parts import (
    DEFAULT_PATH,
    DEFAULT_URI,
    PROCESS_AGAIN,
    JsonOption,
    LabelOption,
    ModelOption,
    PathOption,
    SampleOption,
    UriOption,
    WhoOption,
    open_results,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tiled.client.container import Container

    from ainerd_bluesky.ml.naming import Naming, Vocabulary
    from ainerd_bluesky.ml.words import NamedModel
    from tiled_adapters.relabelling import Relabelled

__all__ = ["register_naming_commands"]

_PANEL = "At a beamline"
_MOST = 0.5
_OLD_RUNS = "old runs: `ainerd relabel`"
_CURES = {
    "another-model": f"were labelled by another model: {PROCESS_AGAIN}",
    "too-old": f"are from before words could be given: {PROCESS_AGAIN}",
}


def register_naming_commands(app: typer.Typer) -> None:
    """Add `name`, `names` and `relabel` to the command line."""
    app.command(rich_help_panel=_PANEL)(name)
    app.command(rich_help_panel=_PANEL)(names)
    app.command(rich_help_panel=_PANEL)(relabel)


def name(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="[CLUSTER] WORD", help="Cluster, as ID or SET:ID, and its word."
        ),
    ],
    examples: Annotated[
        list[str] | None,
        typer.Option(help="Run, or q-bin as UID:BIN, instead of a cluster; repeat."),
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Name old runs too, as `relabel` does.")
    ] = False,
    model: ModelOption = "shipped",
    who: WhoOption = None,
    uri: UriOption = DEFAULT_URI,
    path: PathOption = DEFAULT_PATH,
) -> None:
    """Give a cluster, or a few examples, a word of this beamline.

    New runs get it at once, old ones with --apply. A word may be given again, with
    more examples.
    """
    cluster, word = _cluster_and_word(what, examples or [])
    with open_results(uri, path) as (root, results):
        from ainerd_bluesky.ml.naming import check_word
        from tiled_adapters.clusters import ClusterStore
        from tiled_adapters.naming_acts import name_cluster, name_examples
        from tiled_adapters.vocabulary import VocabularyStore

        # What may fail comes first: an act that is stored stays for good.
        check_word(word)
        loaded = _load(root, path, model) if apply else None
        clusters = ClusterStore(root, path)
        naming, Z = (
            name_examples(results, word, examples or [], who)
            if cluster is None
            else name_cluster(results, clusters, word, cluster, who)
        )
        vocabulary = VocabularyStore(root, path).add(naming)
        console = Console(emoji=False)
        console.print(Text(_named(naming)), soft_wrap=True)
        if cluster is not None:
            asked = loaded or _load_if_there(root, path, model)
            console.print(_share(vocabulary, naming, Z, asked), soft_wrap=True)
        if loaded is None:
            console.print(_OLD_RUNS)
        else:
            _apply(console, results, vocabulary, loaded)


def names(
    rename: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="WORD NEW_WORD", help="Give a word another name."),
    ] = None,
    forget: Annotated[
        str | None, typer.Option(help="Use this word no more; the history keeps it.")
    ] = None,
    history: Annotated[
        bool, typer.Option("--history", help="Everything that was done, in order.")
    ] = False,
    as_json: JsonOption = False,
    who: WhoOption = None,
    uri: UriOption = DEFAULT_URI,
    path: PathOption = DEFAULT_PATH,
) -> None:
    """List this beamline's words, who gave them and when; rename or forget one."""
    import json

    from ainerd_bluesky.ml.naming import Naming
    from tiled_adapters.naming_acts import signature
    from tiled_adapters.vocabulary import VocabularyStore

    with open_results(uri, path) as (root, _):
        store = VocabularyStore(root, path)
        if rename is not None:
            store.add(Naming("rename", rename[0], *signature(who), rename[1]))
        if forget is not None:
            store.add(Naming("forget", forget, *signature(who)))
        vocabulary = store.load()
    shown = vocabulary.history if history else vocabulary.entries
    if as_json:
        typer.echo(json.dumps([naming.to_json() for naming in shown]))
        return
    console = Console(emoji=False)
    if not shown:
        console.print("no words yet: give one with `ainerd name CLUSTER WORD`")
        return
    title = f"{len(shown)} acts" if history else f"{len(vocabulary.words)} words"
    console.print(_table(shown, title))
    if rename is not None or forget is not None:
        console.print(_OLD_RUNS)


def relabel(
    model: ModelOption = "shipped",
    label: LabelOption = None,
    sample: SampleOption = None,
    uri: UriOption = DEFAULT_URI,
    path: PathOption = DEFAULT_PATH,
) -> None:
    """Give old runs the words of today, from their stored fingerprints.

    `model_label` stays what the model said. Nothing is computed from maps; a second
    time, or after a break, only what is left is done.
    """
    from tiled_adapters.vocabulary import VocabularyStore

    with open_results(uri, path) as (root, results):
        vocabulary = VocabularyStore(root, path).load()
        found = results.find(label=label, sample=sample)
        loaded = _load(root, path, model)
        _apply(Console(emoji=False), results, vocabulary, loaded, found)


def _cluster_and_word(
    what: Sequence[str], examples: Sequence[str]
) -> tuple[str | None, str]:
    match list(what), bool(examples):
        case [word], True:
            return None, word
        case [cluster, word], False:
            return cluster, word
    raise typer.BadParameter(
        "say `ainerd name CLUSTER WORD`, or `ainerd name WORD --examples UID[:BIN]`, "
        f"got {' '.join(what)!r} and {len(examples)} examples"
    )


def _load(root: "Container", path: str, name: str) -> "NamedModel":
    """Load a model by the name that a beamline's configuration gives it."""
    from tempfile import TemporaryDirectory

    from ainerd_bluesky.config import ClassificationConfig
    from tiled_adapters.catalog import beside
    from tiled_adapters.models import open_registry

    # By its name: torch has no place in what merely lists nodes.
    load_model = pkgutil.resolve_name("ainerd_bluesky.ml:load_model")
    registered = ClassificationConfig(model=name).registered
    with TemporaryDirectory() as cache:
        if registered is not None:
            registry = open_registry(root, beside(path, "models"))
            name = str(registry.fetch(*registered, Path(cache)))
        model: NamedModel = load_model(name)
    return model


def _load_if_there(root: "Container", path: str, name: str) -> "NamedModel | None":
    """Return a model; None if it cannot be had here: a word can be given without."""
    try:
        return _load(root, path, name)
    except (AinerdError, ImportError):
        return None


def _share(
    vocabulary: "Vocabulary",
    naming: "Naming",
    Z: "NDArray[np.floating[Any]]",
    model: "NamedModel | None",
) -> str:
    """Return how many members of a named cluster get its word."""
    words = None
    if model is not None and model.sha256 == naming.model_sha256:
        words = vocabulary.for_model(model)
    if words is None:
        return (
            f"how many members get it is not known: --model names model "
            f"{naming.model_sha256[:12]}, and needs `ainerd-bluesky[ml]`"
        )
    # With more than half, no label of the model can have as much.
    n_named = sum(share[naming.word] > _MOST for share in words.shares(Z))
    return f"{n_named} of {len(Z)} members get the word"


def _apply(
    console: Console,
    results: Any,  # noqa: ANN401 - tiled is untyped
    vocabulary: "Vocabulary",
    model: "NamedModel",
    found: Any = None,  # noqa: ANN401 - tiled is untyped
) -> None:
    from rich.progress import track

    from tiled_adapters.embeddings import run_summaries
    from tiled_adapters.relabelling import relabel as relabel_runs

    words = vocabulary.for_model(model)
    if words is None and vocabulary.words:
        hashes = {entry.model_sha256[:12] for entry in vocabulary.entries}
        console.print(
            f"[yellow]note[/] no word is of model {model.sha256[:12]}, words are of "
            f"{', '.join(sorted(hashes))}: name --model, or give the words again"
        )
    runs = run_summaries(results if found is None else found)
    done = list(
        track(
            relabel_runs(results, runs, words, model_sha256=model.sha256),
            "relabelling",
            total=len(runs),
            console=Console(stderr=True, emoji=False),
            transient=True,
        )
    )
    _print_outcome(console, done)


def _print_outcome(console: Console, done: Iterable["Relabelled"]) -> None:
    rows = list(done)
    moves = Counter((row.before, row.after) for row in rows if row.outcome == "changed")
    for (before, after), n_runs in moves.most_common():
        console.print(Text(f"{n_runs} runs: {before} -> {after}"))
    outcomes: Counter[str] = Counter(row.outcome for row in rows)
    console.print(
        f"{outcomes['changed']} of {len(rows)} runs have another label now",
        highlight=False,
    )
    for outcome, cure in _CURES.items():
        if outcomes[outcome]:
            console.print(f"{outcomes[outcome]} runs {cure}", highlight=False)


def _named(naming: "Naming") -> str:
    what = f"cluster {naming.cluster}" if naming.cluster else "examples"
    return (
        f"{naming.word}: {what}, {naming.n_examples} fingerprints of model "
        f"{naming.model_sha256[:12]}, by {naming.who}, {naming.when}"
    )


def _table(shown: Sequence["Naming"], title: str) -> Table:
    table = Table(title=title)
    for header in ("word", "from", "examples", "model", "who", "when"):
        table.add_column(header, overflow="fold")
    for naming in shown:
        cells = (
            naming.word,
            _origin(naming),
            str(naming.n_examples or ""),
            naming.model_sha256[:12],
            naming.who,
            naming.when,
        )
        table.add_row(*map(Text, cells))
    return table


def _origin(naming: "Naming") -> str:
    """Return what was done, in a few words."""
    if naming.action == "rename":
        return f"renamed to {naming.new_word}"
    if naming.action == "forget":
        return "forgotten"
    return f"cluster {naming.cluster}" if naming.cluster else "examples"
