"""How a squared Mahalanobis distance becomes a log-density."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixtura._types import Array

LOG_2PI = float(np.log(2.0 * np.pi))


def log_norms(log_det: Array, features: Any) -> Array:
    """The Gaussian's log normaliser: ``log N = log_norm - δ²/2`` for squared distance δ².

    ``log_norm_k = -½ (d log 2π + log |Σ_k|)``.
    """
    return np.asarray(-0.5 * (features * LOG_2PI + log_det))
