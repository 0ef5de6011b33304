"""Divergences and distances between two mixtures.

Functions of a module that take the two distributions first, as in `scipy.spatial.distance` and
`scipy.stats` (``wasserstein_distance(p, q)``), not methods: neither argument is the subject, and
``divergence.kl(p, q)`` says which way round it is read, KL(p‖q). What is called a distance there is
one here, not its square. Closed forms return floats; what is integrated or drawn returns an
`Estimate` with ``.value`` and ``.error``, and ``float()`` of it is the value.
"""

from mixtura.operations.divergence import hellinger, jensen_shannon, kl, total_variation
from mixtura.operations.divergence_closed import (
    cauchy_schwarz,
    kl_bounds,
    kl_matching,
    kl_product,
    kl_variational,
    l2,
)
from mixtura.operations.estimate import Estimate
from mixtura.operations.information import mutual_information
from mixtura.operations.transport import Transport, mw2

__all__ = [
    "Estimate",
    "Transport",
    "cauchy_schwarz",
    "hellinger",
    "jensen_shannon",
    "kl",
    "kl_bounds",
    "kl_matching",
    "kl_product",
    "kl_variational",
    "l2",
    "mutual_information",
    "mw2",
    "total_variation",
]
