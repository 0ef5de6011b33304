"""How good predictions are: proper scores of densities, calibration, selective prediction.

Names and arguments are as in `sklearn.metrics`: what was observed comes first, `sample_weight` is
an option, and means over the rows are given unless ``average=False``. Predictions of numbers are
densities: one `Mixture` for all rows, a mixture for each (`Mixtures`, or a sequence), and where a
density or distribution function is enough anything that has `logpdf` or `cdf`. For clusterings,
scikit-learn's own metrics (``adjusted_rand_score`` and others) serve.
"""

from mixtura.metrics.densities import crps, log_score
from mixtura.metrics.energy import energy_score
from mixtura.metrics.intervals import CoverageCurve, coverage, coverage_curve, interval_score, pit
from mixtura.metrics.probabilities import (
    CalibrationCurve,
    brier_score_loss,
    calibration_curve,
    fpr_at_tpr,
)
from mixtura.metrics.selective import RiskCoverageCurve, augrc, aurc, risk_coverage_curve

__all__ = [
    "CalibrationCurve",
    "CoverageCurve",
    "RiskCoverageCurve",
    "augrc",
    "aurc",
    "brier_score_loss",
    "calibration_curve",
    "coverage",
    "coverage_curve",
    "crps",
    "energy_score",
    "fpr_at_tpr",
    "interval_score",
    "log_score",
    "pit",
    "risk_coverage_curve",
]
