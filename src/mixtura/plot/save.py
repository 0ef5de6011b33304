"""The figures that fit the data, as files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


def save_figures(
    mixture: Mixture,
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
    mixture : Mixture
    X : (n, d) array or data frame, NaN where unobserved
    selection : Selection, or None
    folder : made if it does not exist
    trace : objective after each iteration
    cut : where the fit trimmed rows

    Returns
    -------
    list of Path
        The files written, each complete: an interrupted run leaves none half-written. Others of
        `NAMES` that are there, of another model, are removed.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    makers = _makers(mixture, X, selection, trace, cut)
    for name in NAMES:
        if name not in makers:
            (folder / f"{name}.png").unlink(missing_ok=True)
    return [_write(make().figure_, folder / f"{name}.png") for name, make in makers.items()]


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
    """Write beside the target, then rename over it."""
    handle, name = tempfile.mkstemp(suffix=".png", prefix=f".{path.stem}-", dir=path.parent)
    os.close(handle)
    try:
        figure.savefig(name, dpi=DPI, format="png")
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return path


def _umask() -> int:
    """The permissions this process withholds: a temporary file is born private."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
