"""Whether a stream still is what it was: Page and Hinkley's test on held-out log scores."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["Watch"]

SLACK = 0.5
"""Standard errors by which a score may lie below the mean without counting."""

LIMIT = 12.0
"""Standard errors that shortfalls may sum up to; an observation counts for half as much at most."""

SHARE = 0.1
"""Share of the start's weight that scores are averaged over before they are judged."""

_KNOWN = 10
"""Observations from which on their own spread counts, where it is the larger."""


@dataclass(frozen=True)
class Watch:
    """The state of the test (Page 1954; Hinkley 1971).

    The log score of rows that are not learnt yet, averaged over some weight w, is compared with the
    mean m of those since the last alarm, which weigh W: ``u = (m - score) / √(v (1/w + 1/W))``.
    Here v is the variance of a row's log score, or what the scores' own spread says if that is
    more. Shortfalls add up, ``c ← max(0, c + min(u, LIMIT / 2) - SLACK)``, and ``c > LIMIT`` is a
    drift. With independent normal scores of a known mean a stationary stream would sound a false
    alarm about once in a million observations (Siegmund 1985); a fall by two standard errors takes
    nine to be seen. An observation moves the mean by no more than it may count for, or one far off
    would hide those after it, of a model that learns from it. Spells of rows that resemble one
    another count as drifts.

    Attributes
    ----------
    variance : float
        Of a row's log score.
    least : float
        Weight that an observation gathers.
    score, weight : float
        What is gathered: the sum of the scores and their weight.
    mean, known : float
        m and W.
    squares, count : float
        Sum of ``u²``, and of how many.
    shortfall : float
        c.
    """

    variance: float
    least: float
    score: float = 0.0
    weight: float = 0.0
    mean: float = 0.0
    known: float = 0.0
    squares: float = 0.0
    count: int = 0
    shortfall: float = 0.0

    def after(self, score: float, weight: float) -> tuple[Watch, bool]:
        """After rows of a mean log score and a weight; and whether they have drifted.

        >>> watch, alarms = Watch(variance=1.0, least=100.0), []
        >>> for score in [-2.0] * 20 + [-3.0] * 3:
        ...     watch, alarm = watch.after(score, 100.0)
        ...     alarms.append(alarm)
        >>> alarms.index(True)
        22
        """
        held = replace(self, score=self.score + score * weight, weight=self.weight + weight)
        return (held, False) if held.weight < self.least else held._judged()

    def _judged(self) -> tuple[Watch, bool]:
        """The test of what is gathered."""
        now, total = self.score / self.weight, self.known + self.weight
        fresh = replace(self, score=0.0, weight=0.0, known=total)
        if self.known == 0.0:
            return replace(fresh, mean=now), False
        error = (self.variance * (1.0 / self.weight + 1.0 / self.known)) ** 0.5
        short = (self.mean - now) / error if error > 0.0 else 0.0
        spread = max(self.squares / self.count, 1.0) ** 0.5 if self.count >= _KNOWN else 1.0
        u = min(short / spread, LIMIT / 2.0)
        shortfall = max(0.0, self.shortfall + u - SLACK)
        if shortfall > LIMIT:
            return Watch(self.variance, self.least), True
        bounded = min(abs(short), LIMIT / 2.0)
        squares, count = self.squares + bounded**2, self.count + 1
        reach = LIMIT / 2.0 * spread * error  # what is far off must not pass for what is usual
        mean = self.mean + max(-reach, min(now - self.mean, reach)) * self.weight / total
        return replace(fresh, mean=mean, squares=squares, count=count, shortfall=shortfall), False
