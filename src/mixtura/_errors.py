"""The errors and warnings of mixtura. Every message says what, where and what to do."""

import sys
import warnings
from pathlib import Path

_OWN = (str(Path(__file__).parent), "/sklearn/", "functools.py", "contextlib.py")


class MixturaError(Exception):
    """Root of all errors raised by mixtura."""


class InputError(MixturaError, ValueError):
    """What was handed in cannot be used; the message says which part and the remedy."""


class InputTypeError(MixturaError, TypeError):
    """The kind of thing handed in cannot be used; the message says what to pass instead."""


class ModelFileError(MixturaError, ValueError):
    """A model file is corrupt, truncated, hostile or from a newer version."""


class CheckpointError(MixturaError, ValueError):
    """A checkpoint is corrupt, cut short, or belongs to another fit."""


class MissingDependency(MixturaError, ImportError):
    """An optional package is not installed; the message says how to install it."""

    @classmethod
    def of(cls, package: str, *, extra: str) -> "MissingDependency":
        """Say which package is missing and which extra brings it."""
        return cls(
            f"this needs the package '{package}', which is not installed: "
            f'pip install "mixtura[{extra}]"'
        )


class MixturaWarning(UserWarning):
    """Root of all warnings of mixtura."""


class DegenerateWarning(MixturaWarning):
    """A component collapsed, emptied, or stands on a singular covariance."""


class StartsDisagreeWarning(MixturaWarning):
    """The best starts ended in different partitions of nearly equal likelihood."""


class DriftWarning(MixturaWarning):
    """The rows of a stream have become unlike those before them."""


for _public in (MixturaError, *MixturaError.__subclasses__()):
    _public.__module__ = "mixtura"  # tracebacks then say where one imports it from
for _told in (MixturaWarning, *MixturaWarning.__subclasses__()):
    _told.__module__ = "mixtura"


def warn(text: str, kind: type[Warning] = MixturaWarning) -> None:
    """Warn, pointing at the line outside this package that called it."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and any(own in frame.f_code.co_filename for own in _OWN):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, kind, stacklevel=level + 1)
