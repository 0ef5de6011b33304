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
    how = task.start.how
    if not isinstance(how, str) or how not in _STARTS:
        raise InputError(
            "init_params needs all rows at hand, and these are in partitions: use one of "
            f"{_STARTS}, or give means_init of a sample's fit"
        )
    if task.stop.parts != 1:
        raise InputError(
            "incremental needs all rows at hand, and these are in partitions: leave it out, as "
            "whole steps are accelerated"
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
