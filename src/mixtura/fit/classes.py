"""Fitting a density for every class: all with one family, or each a mixture of its own.

Rows without a label take part by their probabilities of the classes: expectation-maximization
where the class is one more thing that was not observed.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from mixtura._errors import DegenerateWarning, InputError, MixturaError
from mixtura._types import Array
from mixtura.block import Block
from mixtura.conditioning import log_sums, shares
from mixtura.covariance import FAMILIES, Family, family
from mixtura.fit.class_fit import ClassFit
from mixtura.fit.class_model import ClassModel
from mixtura.fit.class_plan import Plan
from mixtura.fit.em import gain_left
from mixtura.fit.fitting import Note, fitted, renamed
from mixtura.fit.judgement import n_parameters
from mixtura.fit.problem import Problem
from mixtura.fit.sample import from_shares
from mixtura.fit.select import Candidate, Selection, grid
from mixtura.fit.task import Task
from mixtura.maximization import log_prior
from mixtura.mixture import Mixture
from mixtura.source import MemorySource

ROUNDS = 3
"""How often numbers of components and families are chosen anew as rows find their classes."""


def classified(plan: Plan, shared: bool) -> ClassFit:
    """Fit one family for all classes together, or each class its own mixture.

    Raises
    ------
    InputError
        No class has a row, or no candidate could be fitted.
    """
    return jointly(plan) if shared else separately(plan)


# ---- one family for all classes


def jointly(plan: Plan) -> ClassFit:
    """One Gaussian a class, all of one family: the best family by the criterion.

    Eigenvalue decomposition discriminant analysis (Bensmail & Celeux 1996). It is one mixture with
    a component for each class whose labels are known.
    """
    with ThreadPoolExecutor(plan.jobs) as pool:
        cells = list(pool.map(lambda rule: _family(plan, rule), plan.families[0]))
    candidate, mixture, notes = min(cells, key=lambda cell: cell[0].rank)
    if mixture is None:
        raise InputError(f"no fit succeeded; the first failure: {candidate.failure}")
    return ClassFit(
        _by_class(plan, mixture),
        (tuple(cell[0] for cell in cells),),
        (candidate,),
        candidate.log_likelihood,
        candidate.n_parameters,
        (),
        candidate.converged,
        notes,
        plan.counts,
        float(plan.weights.sum()),
        candidate.n_iter,
    )


def _family(plan: Plan, rule: Family) -> tuple[Candidate, Mixture | None, tuple[Note, ...]]:
    """One family over all classes, and its criteria."""
    task, size = plan.task, plan.size
    try:
        problem = together(plan, rule)
        outcome = fitted(problem, size, task.rng(size), start=begun(plan, rule), stop=task.stop)
    except MixturaError as error:
        return Candidate(size, rule.name, failure=str(error)), None, ()
    mixture = renamed(outcome.fit, task.names).mixture
    model = _by_class(plan, mixture)
    p = n_parameters(rule, size, plan.source.d, True)
    value = likelihood(plan, model)
    bic = -2.0 * value + p * float(np.log(plan.weights.sum()))
    scores = {
        "bic": bic,
        "aic": -2.0 * value + 2.0 * p,
        "icl": bic + 2.0 * doubt(plan, model),
    }
    candidate = Candidate(
        n_components=size,
        covariance_type=rule.name,
        log_likelihood=value,
        n_parameters=p,
        bic=scores["bic"],
        aic=scores["aic"],
        icl=scores["icl"],
        score=scores[str(task.criterion)],
        converged=outcome.fit.converged,
        degenerate=outcome.degenerate,
        n_iter=outcome.fit.n_iter,
    )
    return candidate, mixture, tuple(_named(note, plan.names) for note in outcome.notes)


def _by_class(plan: Plan, mixture: Mixture) -> ClassModel:
    """The components of a mixture as the densities of the classes."""
    priors = mixture.weights if plan.priors is None else plan.priors
    return ClassModel(priors, tuple(mixture.take([c]) for c in range(plan.size)))


def together(plan: Plan, rule: Family) -> Problem:
    """One component a class, the labels known.

    Given probabilities of the classes are soft labels of the unlabelled rows over components of
    equal weight.
    """
    told = plan.told
    if plan.priors is not None:
        with np.errstate(divide="ignore"):
            given = np.log(plan.priors / plan.priors.max())
        told = np.where(plan.unknown[:, None], given, told)
    whole = plan.source.whole
    source = MemorySource(whole.rows, whole.weights, told, plan.source.threads)
    problem = plan.task.problem(rule, plan.size, source)
    return replace(problem, equal_weights=plan.priors is not None)


def begun(plan: Plan, rule: Family) -> Mixture:
    """The M-step of what the labels tell; of first guesses where rows have none."""
    block = Block(plan.source.whole.rows, plan.weights)
    return from_shares(together(plan, rule), block, guessed(plan))


def guessed(plan: Plan) -> Array:
    """First probabilities (n, C) of the classes: from one covariance that all classes share."""
    if not plan.unknown.any():
        return np.exp(plan.told)
    rule = FAMILIES["tied"]
    problem = together(plan, rule)
    known = np.flatnonzero(~plan.unknown)
    block = Block(plan.source.whole.rows[known], plan.weights[known])
    start = from_shares(problem, block, np.exp(plan.told[known]))
    mixture = fitted(
        problem, plan.size, plan.task.rng(plan.size), start=start, stop=plan.task.stop
    ).fit.mixture
    model = _by_class(plan, mixture)
    return shares(model.log_joint(plan.source) + plan.told)


# ---- a mixture for each class


def separately(plan: Plan) -> ClassFit:
    """A mixture for each class, its number of components and family chosen by the criterion.

    Mixture discriminant analysis (Hastie & Tibshirani 1996; Fraley & Raftery 2002). Unlabelled
    rows enter each class by their probability of it; after the climb the choice is made anew,
    and kept if the whole is better by BIC (structural EM: Friedman 1998).
    """
    best = _climbed(plan, guessed(plan))
    rounds = ROUNDS if plan.unknown.any() and _open(plan) else 0
    for _ in range(rounds):
        again = _climbed(plan, shares(best.model.log_joint(plan.source) + plan.told))
        if again.bic >= best.bic - 1e-6:
            break
        best = again
    return best


def _open(plan: Plan) -> bool:
    """Whether there is anything to choose."""
    choices = zip(plan.components, plan.families, strict=True)
    return any(len(numbers) * len(rules) > 1 for numbers, rules in choices)


def _climbed(plan: Plan, probabilities: Array) -> ClassFit:
    """Choose each class's mixture by these probabilities (n, C), then climb all together."""
    mass = probabilities * plan.weights[:, None]
    with ThreadPoolExecutor(plan.jobs) as pool:
        chosen = list(pool.map(lambda c: _chosen(plan, c, mass), range(plan.size)))
    counts = mass.sum(axis=0)
    priors = counts / counts.sum() if plan.priors is None else plan.priors
    model = ClassModel(priors, tuple(one.fit.mixture for one in chosen))
    trace: tuple[float, ...] = ()
    converged = all(one.fit.converged for one in chosen)
    if plan.unknown.any():
        model, trace, converged = climb(plan, model, [one.best for one in chosen], mass)
    model = replace(
        model, mixtures=tuple(m.changed(feature_names=plan.task.names) for m in model.mixtures)
    )
    return ClassFit(
        model,
        tuple(one.candidates for one in chosen),
        tuple(one.best for one in chosen),
        likelihood(plan, model),
        sum(one.best.n_parameters for one in chosen),
        trace,
        converged,
        tuple(note for one in chosen for note in one.notes),
        plan.counts,
        float(plan.weights.sum()),
        max(len(trace), *(one.best.n_iter for one in chosen)),
    )


def _chosen(plan: Plan, index: int, mass: Array) -> Selection:
    """The best mixture of one class."""
    task, rows = plan.of(index, mass[:, index])
    wanted, name = plan.components[index], plan.names[index]
    if not len(rows):
        raise InputError(f"class {name!r} has no rows to be fitted to")
    able = sorted({min(k, len(rows)) for k in wanted})
    try:
        found = _best_of(task, able, plan.families[index], float(mass[:, index].sum()))
    except InputError as error:
        raise InputError(f"class {name!r}: {error}") from None
    notes = [replace(note, text=f"class {name!r}: {note.text}") for note in found.notes]
    if able != wanted:
        text = f"class {name!r} has {len(rows)} rows: no more components than that were tried"
        notes.append(Note(DegenerateWarning, text))
    return replace(found, notes=tuple(notes))


def _best_of(
    task: Task, components: Sequence[int], families: Sequence[Family], rows: float
) -> Selection:
    """The best cell of a grid among those with no more parameters than there are rows.

    Beyond, the likelihood has spurious maxima that the penalties of BIC, AIC and ICL, which are
    for many rows, do not outweigh. A prior or cross-validation needs no such bound; nor is there
    one where nothing is to be chosen. If no cell keeps it, the smallest is fitted.
    """
    d = task.source.d
    sizes = {(k, one.name): n_parameters(one, k, d) for k in components for one in families}
    guarded = task.prior is not None or task.criterion == "cv" or len(sizes) == 1
    most = np.inf if guarded else max(rows, min(sizes.values()))
    groups: dict[tuple[str, ...], list[int]] = {}
    for k in components:
        kept = tuple(one.name for one in families if sizes[k, one.name] <= most)
        groups.setdefault(kept, []).append(k)
    found = [
        grid(task, numbers, [family(name) for name in kept], 1)
        for kept, numbers in groups.items()
        if kept
    ]
    best = min(found, key=lambda one: one.best.rank)
    refused = [
        Candidate(k, name, n_parameters=p, failure=f"{p} parameters for {rows:g} rows")
        for (k, name), p in sizes.items()
        if p > most
    ]
    tried = [candidate for one in found for candidate in one.candidates]
    return replace(best, candidates=(*tried, *refused))


def climb(
    plan: Plan, model: ClassModel, best: Sequence[Candidate], mass: Array
) -> tuple[ClassModel, tuple[float, ...], bool]:
    """EM over labelled and unlabelled rows: the class is what was not observed.

    E-step: ``r_ic ∝ π_c P_c(x_i)`` for rows without a label. M-step: one step of each class's own
    EM with the rows weighted by ``w_i r_ic``.
    """
    stop = plan.task.stop
    problems = []
    for c, one in enumerate(best):
        source = plan.of(c, mass[:, c])[0].source
        problems.append(plan.task.problem(family(one.covariance_type), one.n_components, source))
    pairs = zip(problems, model.mixtures, strict=True)
    model, trace = replace(model, mixtures=tuple(p.adopted(m) for p, m in pairs)), []
    for _ in range(stop.max_iter):
        joint = model.log_joint(plan.source) + plan.told
        value = float(log_sums(joint) @ plan.weights) + _log_priors(problems, model)
        trace.append(value / float(plan.weights.sum()))
        if len(trace) > 2 and gain_left(*trace[-3:]) < stop.tol:
            return model, tuple(trace), True
        model = _stepped(plan, problems, model, shares(joint) * plan.weights[:, None])
    return model, tuple(trace), False


def _stepped(plan: Plan, problems: Sequence[Problem], model: ClassModel, mass: Array) -> ClassModel:
    """One step of each class's EM, with weights (n, C) of the rows in the classes."""
    mixtures = []
    for index, (problem, mixture) in enumerate(zip(problems, model.mixtures, strict=True)):
        now = problem.on(plan.of(index, mass[:, index])[0].source)
        mixtures.append(now.maximized(now.at(mixture).data, mixture))
    counts = mass.sum(axis=0)
    priors = counts / counts.sum() if plan.priors is None else plan.priors
    return ClassModel(priors, tuple(mixtures))


def _log_priors(problems: Sequence[Problem], model: ClassModel) -> float:
    pairs = zip(problems, model.mixtures, strict=True)
    return sum(log_prior(p.prior, m, p.family.moments) for p, m in pairs)


# ---- what a model is worth


def likelihood(plan: Plan, model: ClassModel) -> float:
    """``Σ w log P(x, y)``, with ``P(x)`` where the class is unknown."""
    return float(log_sums(model.log_joint(plan.source) + plan.told) @ plan.weights)


def doubt(plan: Plan, model: ClassModel) -> float:
    """``-Σ w log max_c P(c | x)`` over the rows without a label."""
    if not plan.unknown.any():
        return 0.0
    joint = model.log_joint(plan.source) + plan.told
    return float((log_sums(joint) - joint.max(axis=1)) @ plan.weights)


def _named(note: Note, names: Sequence[str]) -> Note:
    return replace(note, text=f"{note.text} (component c is class c of {list(names)})")
