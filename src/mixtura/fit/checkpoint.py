"""A file that keeps a fit, so that the same call goes on where whatever ended it struck.

A fit is a tournament on a sample, which its seed repeats, and then climbs, which are numbered. The
file holds the climbs that are over and where the one under way stands (`mixtura.fit.em.State`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mixtura import kernels
from mixtura._errors import (
    CheckpointError,
    DegenerateWarning,
    InputError,
    InputTypeError,
    MixturaWarning,
    StartsDisagreeWarning,
)
from mixtura.atomic import swept, written_whole
from mixtura.block import Block
from mixtura.fit.em import Fit, Follow, Keep, State, Stop
from mixtura.fit.fitting import Note, Outcome
from mixtura.fit.incremental import Progress, way
from mixtura.fit.problem import Problem
from mixtura.fit.task import Task
from mixtura.fit.values import decoded, encoded
from mixtura.mixture import Mixture
from mixtura.source import MemorySource

__all__ = ["Checkpoint", "with_checkpoint"]

_NAME = b"mixtura checkpoint "
_FIRST = _NAME + b"1 "
_WARNINGS = {
    kind.__name__: kind for kind in (DegenerateWarning, MixturaWarning, StartsDisagreeWarning)
}
_LOOKED_AT = 256
"""Rows, spread evenly, whose bits tell one data set from another."""

Belonging = Mapping[str, Any]
"""What a fit is of, by the names of the parameters that say it."""


@dataclass(frozen=True, eq=False)
class Kept:
    """What the file holds.

    Attributes
    ----------
    belonging : mapping
        What the fit is of.
    seed : int
    kernels : {"plain", "compiled"}
        Their roundings differ.
    over : tuple of Fit
        The climbs that are over.
    state : State, Progress or None
        Where the one under way stands.
    outcome : Outcome or None
        Of a fit that is over.
    """

    seed: int
    belonging: Belonging = field(default_factory=dict)
    kernels: str = ""
    over: tuple[Fit, ...] = ()
    state: State | Progress | None = None
    outcome: Outcome | None = None


class Checkpoint:
    """The file of one fit.

    Parameters
    ----------
    path : where it lies, or will

    Raises
    ------
    CheckpointError
        What lies there is cut short, damaged, or no checkpoint.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if not isinstance(path, str | os.PathLike):
            raise InputTypeError(f"checkpoint={path!r}: the path of a file is needed")
        self._path = Path(path)
        swept(path)
        self._kept = _read(self._path)
        self._climbs = 0
        self._stopped = False

    def seed(self, drawn: int, given: bool) -> int:
        """The seed of the fit that is kept, or the one `drawn` for a new one.

        Raises
        ------
        CheckpointError
            A seed was `given`, and it is another than that of the fit that is kept.
        """
        if self._kept is None:
            self._kept = Kept(drawn)
        elif given and drawn != self._kept.seed:
            raise _other(self._path, ["random_state"])
        return self._kept.seed

    def begin(
        self, problem: Problem, k: int, start: Mixture | None, stop: Stop, fields: int
    ) -> Outcome | None:
        """What a fit that is over came to; None where there is something left to do.

        Raises
        ------
        CheckpointError
            The fit that is kept is of other data or parameters, or was made by kernels that are not
            to be had.
        """
        kept, self._climbs, self._stopped = self._kept, 0, False
        assert kept is not None
        asked = _belonging(problem, k, start, stop, fields)
        if not kept.belonging:
            self._write(replace(kept, belonging=asked, kernels=_kernels()))
            return None
        names = [name for name, value in asked.items() if value != kept.belonging.get(name)]
        if names:
            raise _other(self._path, names)
        if kept.outcome is None:
            _use(kept.kernels, self._path)
        return kept.outcome

    def climb(
        self,
        problem: Problem,
        start: Mixture,
        stop: Stop,
        follow: Follow | None,
        *,
        keep: Keep | None = None,
    ) -> Fit:
        """`mixtura.fit.em.run`: what is kept of it, and then the rest."""
        kept, number = self._kept, self._climbs
        assert kept is not None
        self._climbs += 1
        begun, resumed = way(problem, stop)
        if number < len(kept.over):
            return kept.over[number]

        def both(state: State) -> None:
            self._keep(state)
            if keep is not None:
                keep(state)

        if kept.state is None or self._stopped:
            fit = begun(problem, start, stop, follow, keep=both)
        else:
            fit = resumed(problem, kept.state, stop, follow, keep=both)
        if not self._stopped:
            self._write(replace(self._kept or kept, over=(*kept.over, fit), state=None))
        return fit

    def end(self, outcome: Outcome) -> None:
        """Keep what the fit came to, unless the user stopped it."""
        if not self._stopped and self._kept is not None:
            told = replace(outcome, finalists=())
            self._write(replace(self._kept, over=(), state=None, outcome=told))

    def _keep(self, state: State | Progress) -> None:
        """A climb that the user stops stays where it was after its last whole round."""
        self._stopped = self._stopped or state.end == "stopped"
        if not self._stopped and not state.end and self._kept is not None:
            self._write(replace(self._kept, state=state))

    def _write(self, kept: Kept) -> None:
        try:
            with written_whole(self._path) as stream:
                stream.write(_bytes(kept))
        except OSError as error:
            raise CheckpointError(
                f"the checkpoint {self._path} cannot be written ({error}): make room; what it held "
                "before is whole, and the same call goes on from there"
            ) from None
        self._kept = kept


def with_checkpoint(
    asked: Task, path: Any, models: int, *, given: bool = True
) -> tuple[Task, Checkpoint | None]:
    """The task with the seed of the fit that a checkpoint keeps, and the checkpoint, if any.

    Parameters
    ----------
    asked : Task
    path : of the file, or None
    models : how many are to be fitted
    given : whether the user gave the task's seed

    Raises
    ------
    InputError, InputTypeError, CheckpointError
        Several fits; rows on a device; what is no path; a file that cannot be used.
    """
    if path is None:
        return asked, None
    if models > 1:
        raise InputError(
            f"checkpoint belongs to one fit, and {models} are compared: give one n_components and "
            "one covariance_type, with a checkpoint each, or leave checkpoint out"
        )
    if not isinstance(asked.source, MemorySource):
        raise InputError("checkpoint is for rows in memory or in files: pass X.cpu().numpy()")
    if asked.shortlist is not None:
        raise InputError(
            "a checkpoint does not keep the candidates of each row: leave out checkpoint or "
            "candidates"
        )
    saved = Checkpoint(path)
    return replace(asked, seed=saved.seed(asked.seed, given)), saved


def _belonging(
    problem: Problem, k: int, start: Mixture | None, stop: Stop, fields: int
) -> dict[str, Any]:
    """What tells a fit from others: all that its result depends on but its seed."""
    outliers, box = replace(problem.outliers, region=None), problem.truncation
    return {
        "n_components": k,
        "covariance_type": problem.family.name,
        "tol": stop.tol,
        "max_iter": stop.max_iter,
        "incremental": stop.parts,
        "n_init": fields,
        "assignment": getattr(problem.assign, "__name__", ""),
        "equal_weights": problem.equal_weights,
        "prior": _digest(problem.prior),
        "reg_covar or max_ratio": _digest(problem.guard),
        "distribution, dof, noise or trim": _digest(outliers),
        "fixed": _digest(problem.held),
        "truncation": _digest(box and (box.lower, box.upper)),
        "where it starts (init_params, ..., warm_start)": _digest(start),
        "the rows, or what is said of them": _digest(_looked_at(problem)),
    }


def _looked_at(problem: Problem) -> list[Any]:
    """Number and type of the rows, sums over all of their columns, and some of them."""
    n, summary = problem.source.n, problem.summary
    places = np.unique(np.linspace(0, n - 1, min(n, _LOOKED_AT)).astype(np.intp))
    block = problem.source.take(places)
    sums = [summary.weight, summary.observed, summary.mean, summary.deviation]
    some = [np.asarray(block.rows, dtype=np.float64), block.weights]
    told = problem.source.map(_said)
    return [n, problem.source.d, str(block.rows.dtype), *sums, *some, *told]


def _said(block: Block) -> str | None:
    """What is said of the rows of a block beside their weights."""
    errors = block.errors
    measured = () if errors is None else (errors.covariances, errors.projections)
    arrays = (block.plausibility, *(block.limits or ()), *measured)
    return _digest(arrays) if any(array is not None for array in arrays) else None


def _digest(value: Any) -> str:
    told = json.dumps(encoded(value), sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def _kernels() -> str:
    return "plain" if kernels.active() is kernels.plain else "compiled"


def _use(name: str, path: Path) -> None:
    """Go on with the kernels that a fit began with."""
    if name == "compiled" and _kernels() == "plain":
        kernels.use(name, optional=True)
    if name != _kernels():
        remedy = 'call mixtura.kernels.use("plain")' if name == "plain" else "install numba"
        raise CheckpointError(
            f"the fit in {path} began with the {name} kernels, and with those in use now it would "
            f"end in other digits: {remedy}, or delete the file to start anew"
        )


def _other(path: Path, names: list[str]) -> CheckpointError:
    return CheckpointError(
        f"the checkpoint {path} is that of another fit, which differs in {'; '.join(names)}: call "
        "fit with what it began with, name another file, or delete this one to start anew"
    )


# ---- the file


def _bytes(kept: Kept) -> bytes:
    """A first line with the digest of all that follows, and JSON."""
    outcome = kept.outcome
    told = {
        "belonging": kept.belonging,
        "seed": kept.seed,
        "kernels": kept.kernels,
        "over": encoded(kept.over),
        "state": encoded(kept.state),
        "fit": None if outcome is None else encoded(outcome.fit),
        "degenerate": None if outcome is None else outcome.degenerate,
        "notes": [] if outcome is None else [[n.kind.__name__, n.text] for n in outcome.notes],
    }
    body = json.dumps(told, allow_nan=False).encode()
    return _FIRST + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _read(path: Path) -> Kept | None:
    """What a file holds, None where there is none."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CheckpointError(f"the checkpoint {path} cannot be read: {error}") from None
    first, _, body = content.partition(b"\n")
    if not content.startswith(_NAME) and not _NAME.startswith(content):
        raise CheckpointError(
            f"{path} is no checkpoint, and would be overwritten: name another file"
        )
    if first != _FIRST + hashlib.sha256(body).hexdigest().encode():
        raise CheckpointError(
            f"the checkpoint {path} is damaged, cut short, or of a newer mixtura: bring it back "
            "from a copy, or delete it to start anew"
        )
    try:
        return _told(json.loads(body))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"the checkpoint {path} cannot be understood ({error!r}): delete it to start anew"
        ) from None


def _told(told: dict[str, Any]) -> Kept:
    outcome = None
    if told["fit"] is not None:
        notes = tuple(Note(_WARNINGS[kind], text) for kind, text in told["notes"])
        outcome = Outcome(decoded(told["fit"]), (), told["degenerate"], notes)
    over, state = decoded(told["over"]), decoded(told["state"])
    return Kept(told["seed"], told["belonging"], told["kernels"], over, state, outcome)
