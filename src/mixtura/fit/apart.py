"""What a fit to rows in partitions cannot do."""

from __future__ import annotations

from mixtura._errors import InputError
from mixtura.fit.task import Task
from mixtura.fit.told import Told
from mixtura.source import RemoteSource

_STARTS = ("auto", "kmeans", "k-means++", "random_from_data", "hierarchical")
"""Starts that a sample of the rows is enough for."""


def refuse_apart(task: Task) -> None:
    """Refuse what needs something of each row, where rows are in partitions.

    Raises
    ------
    InputError
        Says what, and what to do instead.
    """
    if not isinstance(task.source, RemoteSource):
        return
    how, dof = task.start.how, task.outliers.dof
    for wrong, what, advice in (
        (task.labels is not None, "labels", "fit a sample with its labels, start from its means"),
        (task.outliers.trim, "trim", 'use distribution="t" with a number as dof, or noise'),
        (isinstance(dof, str), f"dof={dof!r}", "give a number, such as that of a sample's fit"),
        (not isinstance(how, str) or how not in _STARTS, "init_params", f"use one of {_STARTS}"),
        (task.stop.parts != 1, "incremental", "leave it out: whole steps are accelerated"),
        (task.criterion == "cv", 'criterion="cv"', "use another, or select on a sample"),
    ):
        if wrong:
            raise InputError(
                f"{what} needs all rows at hand, and these are in partitions: {advice}"
            )


def refuse_told(told: Told) -> None:
    """Refuse what is said of single rows and cells, where rows are in partitions.

    Raises
    ------
    InputError
    """
    if told.blurred or told.bounded:
        raise InputError(
            "truncation, limits and measurement errors need all rows at hand, and these are in "
            "partitions: fit a sample in memory"
        )
