"""Names of places that are not on this machine."""

from __future__ import annotations

import re

__all__ = ["shown"]


def shown(path: str) -> str:
    """A path or URI as it may be shown: without the keys that log in to its place.

    >>> shown("s3://key:secret@bucket/rows")
    's3://bucket/rows'
    """
    return re.sub("(?<=://)[^/@]+@", "", path)
