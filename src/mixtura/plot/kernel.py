"""How wide the kernel of a density estimate should be, whatever the number of modes."""

from __future__ import annotations

import numpy as np
from scipy.fft import dct
from scipy.optimize import brentq
from scipy.special import factorial2

from mixtura._types import Array

GRID = 1 << 12
STAGES = 7
SQUARES = 1e-7, 0.1
"""Between which the squared bandwidth is, in units of the squared span: from a cell of the grid."""


def bandwidth(values: Array) -> float:
    """Standard deviation of a Gaussian kernel by the improved Sheather-Jones rule.

    It takes the curvature of the density from the values themselves, where the rule of thumb takes
    it from a normal density, and so blurs two modes into one; that is the most it can be. Botev,
    Grotowski & Kroese (2010), "Kernel density estimation via diffusion", The Annals of Statistics
    38, algorithm 1.

    Parameters
    ----------
    values : (n,), of which two differ

    Examples
    --------
    >>> import numpy as np
    >>> apart = np.concatenate([np.linspace(0, 1, 50), np.linspace(9, 10, 50)])
    >>> bool(bandwidth(apart) < 0.3 < 1.06 * apart.std() * 100**-0.2)
    True
    """
    low, high = float(values.min()), float(values.max())
    edge = 0.1 * (high - low)
    span = high - low + 2.0 * edge
    counts, _ = np.histogram(values, GRID, (low - edge, high + edge))
    waves = np.arange(1, GRID, dtype=np.float64) ** 2
    powers = (0.5 * dct(counts / len(values))[1:]) ** 2
    distinct = len(np.unique(values))  # values that are rounded tell no more than these

    def excess(time: float) -> float:
        return time - _implied(time, distinct, waves, powers)

    thumb = 1.06 * float(np.std(values / span)) * len(values) ** -0.2
    try:
        with np.errstate(all="ignore"):
            time = float(brentq(excess, *SQUARES))
    except ValueError:  # no crossing: too few values to tell a curvature from
        return span * thumb
    return span * min(float(np.sqrt(time)), thumb)


def _implied(time: float, n: int, waves: Array, powers: Array) -> float:
    """The squared bandwidth that follows from the curvature seen at another, stage by stage."""

    def roughness(order: int, at: float) -> float:
        total = np.sum(waves**order * powers * np.exp(-waves * np.pi**2 * at))
        return float(2.0 * np.pi ** (2 * order) * total)

    seen = roughness(STAGES, time)
    for order in range(STAGES - 1, 1, -1):
        moment = float(factorial2(2 * order - 1)) / np.sqrt(2.0 * np.pi)
        share = (1.0 + 0.5 ** (order + 0.5)) / 3.0
        seen = roughness(order, (2.0 * share * moment / (n * seen)) ** (2.0 / (3.0 + 2.0 * order)))
    return float((2.0 * n * np.sqrt(np.pi) * seen) ** -0.4)
