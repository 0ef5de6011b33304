"""A mixture in words."""

from __future__ import annotations

import numpy as np

from mixtura.parts import Parts

_COMPONENTS, _COLUMNS = 12, 6
"""At most so many are told."""


def described(mixture: Parts) -> str:
    """Its size, law and noise; weight, means and deviations of the components."""
    k, d = mixture.location.shape
    kind = mixture.structure.name
    size = f"{k} component{'s' * (k > 1)} in {d} dimension{'s' * (d > 1)}"
    lines = [f"Mixture of {size} ({kind}{mixture.law.wording})"]
    deviations = np.sqrt(mixture.structure.variances_by_column) / mixture.frame.scale
    names = mixture.feature_names or [f"x{i}" for i in range(d)]
    for index in range(min(k, _COMPONENTS)):
        cells = ", ".join(
            f"{name} {mixture.means[index, i]:.4g} ± {deviations[index, i]:.2g}"
            for i, name in list(enumerate(names))[:_COLUMNS]
        )
        more = ", …" if d > _COLUMNS else ""
        lines.append(f"  {index}: weight {mixture.weights[index]:.3f}; {cells}{more}")
    if k > _COMPONENTS:
        lines.append(f"  … and {k - _COMPONENTS} more")
    if mixture.noise is not None:
        lines.append(f"  noise: {mixture.noise.share:.3f} of the rows, spread evenly")
    return "\n".join(lines)
