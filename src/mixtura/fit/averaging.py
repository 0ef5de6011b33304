"""Densities averaged over models (Hoeting et al. 1999), by weights from BIC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mixtura._errors import InputError
from mixtura._types import Array
from mixtura.covariance import structure
from mixtura.law import StudentT
from mixtura.mixture import Mixture

if TYPE_CHECKING:
    from mixtura.fit.selection import Candidate, Selection

FAR = 40.0
"""Difference of BIC beyond which a candidate weighs less than 1e-8, and its fit is not kept."""

FAINT = 1e-4
"""Weight below which a candidate is left out of an average."""


def weights(candidates: Sequence[Candidate]) -> Array:
    """``exp(-BIC/2)`` over its sum, zero for degenerate and failed candidates.

    Candidates that are the same model under several names share one weight.
    """
    bic = np.array([c.bic if c.sound else np.inf for c in candidates])
    if not np.isfinite(bic).any():
        return np.zeros(len(bic))
    names = np.array([sum(c.sound and c.same(other) for c in candidates) for other in candidates])
    shares = np.exp(-0.5 * (bic - bic.min())) / np.maximum(names, 1)
    return np.asarray(shares / shares.sum())


def average(selection: Selection, top: int | None) -> Mixture:
    """The mixture of the candidates' mixtures by their weights.

    Raises
    ------
    InputError
        No sound candidate, or `top` below one.
    """
    if top is not None and top < 1:
        raise InputError(f"top={top}: average at least one candidate")
    shares = weights(selection.candidates)
    order = np.argsort(-shares, kind="stable")[: len(shares) if top is None else top]
    chosen = [i for i in order if shares[i] >= (FAINT if top is None else FAINT**2)]
    if not chosen:
        raise InputError("no candidate is sound, so there is nothing to average")
    keys = [(c.n_components, c.covariance_type) for c in selection.candidates]
    parts = [selection.fits[keys[i]].mixture for i in chosen]
    kept = shares[chosen] / shares[chosen].sum()
    return joined(parts, kept)


def joined(mixtures: Sequence[Mixture], shares: Array) -> Mixture:
    """``Σ_m share_m P_m(x)``, in the frame of the first, with full covariances.

    Noise weighs what it does on average; degrees of freedom stay those of each component.
    """
    first = mixtures[0]
    frame = first.frame
    noise = [0.0 if m.noise is None else m.noise.share for m in mixtures]
    inside = shares * (1.0 - np.array(noise))
    every = np.concatenate([s * m.weights for s, m in zip(inside, mixtures, strict=True)])
    location = np.concatenate([frame.read(m.means) for m in mixtures])
    dense = [m.shaped(frame).dense() for m in mixtures]
    k, d = location.shape
    laws = [m.law for m in mixtures if isinstance(m.law, StudentT)]
    return first.changed(
        weights=every / every.sum(),
        location=location,
        structure=structure(np.concatenate(dense), "full", k, d),
        law=StudentT(np.concatenate([law.dof for law in laws]), "fixed") if laws else first.law,
        noise=None if first.noise is None else first.noise.sharing(float(shares @ noise)),
    )
