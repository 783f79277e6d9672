"""How a training went, and what came of it, as a picture."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ainerd_bluesky.ml.comparison import Comparison, Outcome
from ainerd_bluesky.ml.tuning import Curves

__all__ = ["draw_curves"]

_LEAST_SHARE = 0.01

_COLOURS: dict[Outcome, str] = {
    "better": "tab:green",
    "worse": "tab:red",
    "no different": "tab:gray",
}


def draw_curves(curves: Curves, comparison: Comparison, path: str | Path) -> None:
    """Draw the losses by epoch, and every figure against that of production.

    Parameters
    ----------
    curves : Curves
        Of the training.
    comparison : Comparison
        Of the candidate with the model in production.
    path : str or Path
        PNG file to write.
    """
    figure = Figure(figsize=(11, 4), layout="constrained")
    losses, changes = figure.subplots(1, 2)
    _draw_losses(losses, curves)
    _draw_changes(changes, comparison)
    figure.savefig(path, dpi=150)


def _draw_losses(axes: Axes, curves: Curves) -> None:
    epochs = range(1, len(curves.learn) + 1)
    axes.plot(epochs, curves.learn, marker=".", label="runs to learn from")
    axes.plot([0, *epochs], curves.watch, marker=".", label="runs to watch")
    axes.axvline(curves.best_epoch, ls=":", c="k", label="weights that were kept")
    axes.set(xlabel="epoch", ylabel="loss", title="Training")
    axes.legend()


def _draw_changes(axes: Axes, comparison: Comparison) -> None:
    figures = (*comparison.own, *comparison.simulated)
    for place, figure in enumerate(figures):
        # A share may have been nothing, which no percentage of it exceeds.
        scale = 100 / max(abs(figure.production), _LEAST_SHARE)
        axes.errorbar(
            scale * (figure.candidate - figure.production),
            place,
            xerr=scale * figure.margin,
            fmt="o",
            capsize=4,
            c=_COLOURS[figure.outcome],
        )
    axes.axvline(0, c="k", lw=0.8)
    axes.set_yticks(range(len(figures)), [figure.name for figure in figures])
    axes.set(xlabel="change [%]", title="Candidate against production, held out")
    axes.invert_yaxis()
