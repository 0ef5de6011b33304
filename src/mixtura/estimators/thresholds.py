"""Where a detector draws the line."""

from __future__ import annotations

from functools import partial
from numbers import Real
from typing import Any

import numpy as np
from scipy.special import gammaincinv

from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.block import Block
from mixtura.law import GAUSSIAN
from mixtura.mixture import Mixture
from mixtura.operations.completed import completed_log_density
from mixtura.source import Source
from mixtura.source.ranks import quantile

LEVEL = 0.01
"""Share of ordinary rows beyond the line where none is asked for."""

_DRAWS, _CELLS, _FEWEST = 20_000, 2_000_000, 2_000


def check_line(contamination: Any, alpha: Any, calibration: Any, smallest: Any) -> None:
    """Refuse a line that cannot be drawn or is drawn twice, and components nothing is left of.

    Raises
    ------
    InputError
    """
    if contamination != "auto" and not _share(contamination, 0.5):
        raise InputError(f'contamination={contamination!r} must be "auto" or a share in (0, 0.5]')
    if alpha is not None and not _share(alpha, 0.5):
        raise InputError(f"alpha={alpha!r} must be None or a share in (0, 0.5]")
    if alpha is not None and contamination != "auto":
        raise InputError(
            f"contamination={contamination!r} and alpha={alpha!r} both draw the line: leave "
            'contamination at "auto" for false alarms at the rate alpha'
        )
    if calibration is not None and not (_share(calibration, 1.0) and calibration < 1.0):
        raise InputError(f"calibration={calibration!r} must be None or a share in (0, 1)")
    if smallest != 0 and not (_share(smallest, 1.0) and smallest < 1.0):
        raise InputError(f"smallest={smallest!r} must be a share of the rows: at least 0, below 1")


def _share(value: Any, most: float) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0.0 < float(value) <= most


def ordinary_level(mixture: Mixture, source: Source) -> float:
    """The log-density below which 1 % of rows lie where all are Gaussian about their component.

    By draws from Gaussian components that have the mixture's weights and means, and its Σ times
    ``median(δ²) / median(χ²)``, so that the middle half of the rows tells how wide they are
    (the consistency factor of robust scatter estimates: Rousseeuw & van Zomeren 1990).
    """
    ratio = max(quantile(source, partial(_ratios, mixture), 0.5), np.finfo(float).tiny)
    stretch = np.full(mixture.n_features, np.sqrt(ratio))
    core = mixture.changed(law=GAUSSIAN, noise=None, structure=mixture.structure.scaled(stretch))
    draws = max(min(_DRAWS, _CELLS // mixture.n_features), _FEWEST)
    logs = completed_log_density(mixture, Block(core.sample(draws, 0)))
    return float(np.quantile(logs, LEVEL))


def _ratios(mixture: Mixture, block: Block) -> tuple[Array, Array]:
    """How much farther than usual by Σ each row lies, squared, and the weights of the rows."""
    squared = mixture.mahalanobis(block.rows).min(axis=1) ** 2
    features = np.sum(~np.isnan(block.rows), axis=1)
    seen = features > 0
    usual = 2.0 * gammaincinv(0.5 * features[seen], 0.5)
    return squared[seen] / usual, block.weight()[seen]
