"""The figures that fit the data, as files."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixtura.atomic import written_whole
from mixtura.fitted import fitted_mixture
from mixtura.plot.cluster import ClusterDisplay
from mixtura.plot.density import DensityDisplay
from mixtura.plot.histogram import HistogramDisplay
from mixtura.plot.pairs import PairsDisplay
from mixtura.plot.selection import SelectionDisplay
from mixtura.plot.trace import TraceDisplay
from mixtura.plot.uncertainty import UncertaintyDisplay

if TYPE_CHECKING:
    from mixtura.fit.select import Selection
    from mixtura.mixture import Mixture
    from mixtura.trimming import Cut

DPI = 150
NAMES = ("histogram", "clusters", "density", "pairs", "uncertainty", "selection", "trace")

MARK = b"tEXtSoftware\0mixtura"
"""What a PNG file of `save_figures` has near its beginning."""


def save_figures(
    mixture: Any,
    X: Any,
    selection: Selection | None,
    folder: str | os.PathLike[str],
    *,
    trace: Sequence[float] | None = None,
    cut: Cut | None = None,
) -> list[Path]:
    """Write the figures that fit the number of features, as PNG files.

    One feature: histogram. Two: clusters and density. More: clusters and density of the two
    features in which the components differ most, and the pairs. Besides: uncertainty where there
    are several components, the selection where there was one, the trace where it is given.

    Parameters
    ----------
    mixture : Mixture or fitted estimator
    X : (n, d) array or data frame, NaN where unobserved
    selection : Selection, or None
    folder : made if it does not exist
    trace : objective after each iteration
    cut : where the fit trimmed rows

    Returns
    -------
    list of Path
        The files written, each complete: an interrupted run leaves none half-written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    makers = _makers(fitted_mixture(mixture), X, selection, trace, cut)
    return [_write(make().figure_, folder / f"{name}.png") for name, make in makers.items()]


def remove_figures(folder: str | os.PathLike[str], but: Sequence[Path] = ()) -> list[Path]:
    """Remove figures of an earlier model that `save_figures` wrote to a folder.

    Parameters
    ----------
    folder : as it was given to `save_figures`
    but : files that stay, those of the present model

    Returns
    -------
    list of Path
        The files removed. One that is not by `save_figures`, whatever its name, stays.
    """
    paths = [Path(folder) / f"{name}.png" for name in NAMES]
    left = [path for path in paths if path not in but and path.is_file() and _is_ours(path)]
    for path in left:
        path.unlink()
    return left


def _is_ours(path: Path) -> bool:
    with path.open("rb") as stream:
        return MARK in stream.read(4096)


def _makers(
    mixture: Mixture,
    X: Any,
    selection: Selection | None,
    trace: Sequence[float] | None,
    cut: Cut | None,
) -> dict[str, Callable[[], Any]]:
    """Name of each file -> what draws it, so that one figure is in memory at a time."""
    makers: dict[str, Callable[[], Any]] = {}
    if mixture.n_features == 1:
        makers["histogram"] = lambda: HistogramDisplay.from_mixture(mixture, X, cut=cut)
    else:
        makers["clusters"] = lambda: ClusterDisplay.from_mixture(mixture, X, cut=cut)
        makers["density"] = lambda: DensityDisplay.from_mixture(mixture, X)
    if mixture.n_features > 2:
        makers["pairs"] = lambda: PairsDisplay.from_mixture(mixture, X, cut=cut)
    if mixture.n_components > 1:
        makers["uncertainty"] = lambda: UncertaintyDisplay.from_mixture(mixture, X, cut=cut)
    if selection is not None and len(selection.candidates) > 1:
        makers["selection"] = lambda: SelectionDisplay.from_selection(selection)
    if trace is not None and len(trace) > 1:
        makers["trace"] = lambda: TraceDisplay(trace).plot()
    return makers


def _write(figure: Any, path: Path) -> Path:
    with written_whole(path) as stream:
        figure.savefig(stream, dpi=DPI, format="png", metadata={"Software": "mixtura"})
    return path
