"""Figures of mixtures: each a Display with `from_estimator`, `from_mixture` and `plot(ax=)`.

None touches matplotlib's global state: a new figure belongs to no pyplot session, and
`display.figure_.savefig(...)` writes it.
"""

from mixtura._errors import MissingDependency

try:
    import matplotlib  # noqa: F401
except ImportError as error:
    raise MissingDependency.of("matplotlib", extra="plot") from error

from mixtura.plot.calibration import PITDisplay, QQDisplay
from mixtura.plot.cluster import ClusterDisplay
from mixtura.plot.deconvolution import DeconvolutionDisplay
from mixtura.plot.density import DensityDisplay
from mixtura.plot.directions import DirectionsDisplay
from mixtura.plot.fan import FanDisplay
from mixtura.plot.histogram import HistogramDisplay
from mixtura.plot.merge import MergeDisplay
from mixtura.plot.p_values import PValueDisplay
from mixtura.plot.pairs import PairsDisplay
from mixtura.plot.risk_coverage import RiskCoverageDisplay
from mixtura.plot.save import remove_figures, save_figures
from mixtura.plot.selection import SelectionDisplay
from mixtura.plot.trace import TraceDisplay
from mixtura.plot.uncertainty import UncertaintyDisplay

__all__ = [
    "ClusterDisplay",
    "DeconvolutionDisplay",
    "DensityDisplay",
    "DirectionsDisplay",
    "FanDisplay",
    "HistogramDisplay",
    "MergeDisplay",
    "PITDisplay",
    "PValueDisplay",
    "PairsDisplay",
    "QQDisplay",
    "RiskCoverageDisplay",
    "SelectionDisplay",
    "TraceDisplay",
    "UncertaintyDisplay",
    "remove_figures",
    "save_figures",
]
