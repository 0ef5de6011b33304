"""The library's advice in words of the command line."""

from __future__ import annotations

import re

_WORDS = (
    (
        r"\bdrop columns, choose a simpler covariance family, or set reg_covar or a prior\b",
        "leave columns out with --columns, or choose a simpler --covariance",
    ),
    (r"\ba prior would make\b", "--prior fraley-raftery would make"),
    (r"\breg_covar or a prior\b", "or --prior fraley-raftery"),
    (r"\ba prior, or reg_covar\b", "--prior fraley-raftery"),
    (r"\braise n_init\b", "try another --seed"),
    (r"\bmax_iter\b", "--max-iter"),
    (r"\btol\b", "--tol"),
)
"""What the library says, and what does the same for `mixtura fit`.

A ridge in squared units of the data is no option there: the prior, which has the data's own scale,
takes its place. Against constant or collinear columns it does not help.
"""


def in_options(message: object) -> str:
    """A message with options in place of parameters.

    Examples
    --------
    >>> in_options("the best has not converged: raise max_iter or tol")
    'the best has not converged: raise --max-iter or --tol'
    >>> in_options("use fewer components, reg_covar or a prior")
    'use fewer components, or --prior fraley-raftery'
    """
    text = " ".join(str(message).split())
    for said, meant in _WORDS:
        text = re.sub(said, meant, text)
    return text
