"""The shape words: n rows, k components, d features; p features of a log-linear kernel."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]  # float64 unless said otherwise
Rows = NDArray[Any]  # (n, d) float32 or float64, NaN where unobserved
Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]
