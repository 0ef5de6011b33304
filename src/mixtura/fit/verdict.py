"""The choice in words: what was chosen, how firmly, and what to be wary of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mixtura._errors import MixturaWarning
from mixtura.fit import criteria, nesting
from mixtura.fit.fitting import Note

if TYPE_CHECKING:
    from mixtura.fit.selection import Candidate, Selection

NEAR = 2.0
"""Difference of a criterion below which models are as good as each other."""

AFAR = 10.0
"""Difference of a criterion beyond which a model that lost its way would hardly be chosen."""

UNFINISHED = 0.01
"""Nats over all rows that the best may have left to gain without remark."""

RANGE = 3
"""Numbers of components from which those tried are a range with edges."""


def sentence(selection: Selection) -> str:
    """The choice, how far it is ahead of the next, and whether the range ends there."""
    best, rule = selection.best, _rule(selection)
    noun, verb = ("component", "has") if best.n_components == 1 else ("components", "have")
    text = f"{best.n_components} {noun} with {best.covariance_type} covariance"
    if len(selection.candidates) == 1:
        return f"{text}, the only model tried: BIC {best.bic:.2f}."
    text += f" {verb} the best {rule.title}"
    others = _others(selection)
    if others:
        text += f", ahead of {others[0]} by {_lead(selection, others[0])}"
    return f"{text}{_edge(selection)}."


def sentences(selection: Selection) -> list[str]:
    """The choice, then what speaks for it, and what to be wary of."""
    wary = [f"{text[0].upper()}{text[1:]}." for text in cautions(selection)]
    return [sentence(selection), *reasons(selection), *wary]


def reasons(selection: Selection) -> list[str]:
    """What speaks for the number and the family, and how the criterion came to it."""
    said = []
    best = selection.best
    others = _others(selection)
    for what, name in (("number", "n_components"), ("family", "covariance_type")):
        rivals = [c for c in others if getattr(c, name) != getattr(best, name)]
        if rivals and rivals[0] is not others[0]:
            said.append(f"The best with another {what}, {rivals[0]}, is behind by "
                        f"{_lead(selection, rivals[0])}.")  # fmt: skip
    rule = _rule(selection)
    near = [c for c in others if c.score - best.score < NEAR]
    if len(near) > 1 and not rule.held_out:
        said.append(f"{len(near)} others are within {NEAR:.0f}.")
    if rule.held_out and len(selection.candidates) > 1:
        said += _one_error(selection)
    return said + rule.remarks(selection.candidates)


def notes(selection: Selection) -> list[Note]:
    """The cautions, as warnings; so is the end of the range, where there is a range."""
    best, said = selection.best, cautions(selection)
    tried = sorted({c.n_components for c in selection.candidates})
    if len(tried) >= RANGE and _edge(selection):
        what = "most" if best.n_components == tried[-1] else "fewest"
        edge = f"{best} was chosen at the edge of the range: it has the {what} components tried"
        said = [edge, *said]
    return [Note(MixturaWarning, text) for text in said]


def cautions(selection: Selection) -> list[str]:
    """What could have decided the choice without deserving to."""
    best = selection.best
    said = []
    if best.degenerate:
        alone = len(selection.candidates) == 1
        which = f"{best} is degenerate" if alone else f"every candidate is degenerate, {best} too"
        said.append(f"{which}: add a prior, or reg_covar")
    elif not best.converged and best.remaining > UNFINISHED:
        known = np.isfinite(best.remaining)
        rest = f"about {best.remaining:.2g} nats remain" if known else "much may remain"
        said.append(
            f"the best, {best}, has not converged: {rest} to be gained; raise max_iter or tol"
        )
    said += _set_aside(selection) + _unfinished(selection) + _fallen(selection)
    return said


def _set_aside(selection: Selection) -> list[str]:
    """Degenerate candidates that would have been chosen by their score."""
    best = selection.best
    ahead = [
        c for c in selection.candidates if c.degenerate and c.score < best.score and not c.failure
    ]
    if best.degenerate or not ahead:
        return []
    first = min(ahead, key=lambda c: c.score)
    count = "a candidate" if len(ahead) == 1 else f"{len(ahead)} candidates"
    which = "" if len(ahead) == 1 else "for example "
    return [
        f"{count} with a lower score, {which}{first}, had collapsed on few rows and could not be "
        "chosen: a prior would make such candidates comparable"
    ]


def _unfinished(selection: Selection) -> list[str]:
    """Candidates that had not converged and could still overtake the best."""
    best = selection.best
    could = [
        c
        for c in selection.candidates
        if c is not best and c.sound and not c.converged
        and c.score - 2.0 * c.remaining < best.score
    ]  # fmt: skip
    if not could:
        return []
    first = min(could, key=lambda c: c.score)
    return [f"{first} has not converged and could still overtake the best: raise max_iter or tol"]


def _fallen(selection: Selection) -> list[str]:
    """Candidates less likely than a model they contain, near enough to matter."""
    best = selection.best
    said = []
    for candidate, inner, lost in nesting.shortfalls(selection.candidates):
        if candidate.score - 2.0 * lost < best.score + AFAR:
            said.append(
                f"{candidate} is {lost:.2g} nats less likely than {inner}, which it contains: its "
                "best fit was not found, and might be chosen; raise n_init"
            )
    return said


def _one_error(selection: Selection) -> list[str]:
    """The simplest candidate within one standard error of the best (Breiman et al. 1984)."""
    best = selection.best
    within = [
        c
        for c in selection.candidates
        if c.sound and c.score - best.score <= c.score_error and c.n_parameters < best.n_parameters
    ]
    if not within:
        return ["No simpler candidate is within one standard error of the best."]
    simplest = min(within, key=lambda c: (c.n_parameters, c.score))
    return [
        f"The simplest within one standard error is {simplest}, with {simplest.n_parameters} "
        f"parameters instead of {best.n_parameters}: it is behind by {_lead(selection, simplest)}."
    ]


def _others(selection: Selection) -> list[Candidate]:
    """The rest that could have been chosen, best first, without the best's other names."""
    best = selection.best
    rest = [c for c in selection.ranked() if c.failure is None and not c.same(best)]
    return rest if best.degenerate else [c for c in rest if c.sound]


def _lead(selection: Selection, other: Candidate) -> str:
    """How far another is behind, and what that means."""
    difference = other.score - selection.best.score
    text = f"{difference:.1f}"
    rule = _rule(selection)
    if rule.held_out and np.isfinite(other.score_error):
        return f"{text} ± {other.score_error:.1f}: {_in_errors(difference, other.score_error)}"
    return text if rule.evidence is None else f"{text}: {rule.evidence(difference)}"


def _in_errors(difference: float, error: float) -> str:
    """Words for a difference in standard errors."""
    if error <= 0:
        return "the same" if difference <= 0 else "certain"
    kinds = ("no more than chance", "a hint", "firm", "very firm")
    place = int(np.searchsorted((1.0, 2.0, 3.0), difference / error, "right"))
    return f"{difference / error:.1f} standard errors, {kinds[place]}"


def _edge(selection: Selection) -> str:
    """What to do where the best is at the end of what was tried."""
    tried: Sequence[int] = sorted({c.n_components for c in selection.candidates})
    k = selection.best.n_components
    if len(tried) > 1 and k == tried[-1]:
        return "; that is the most that was tried: try more"
    if len(tried) > 1 and k == tried[0] > 1:
        return "; that is the least that was tried: try fewer"
    return ""


def _rule(selection: Selection) -> criteria.Criterion:
    known = criteria.CRITERIA.get(selection.criterion)
    name = selection.criterion
    return known or criteria.Criterion(name, name, lambda candidates: [])
