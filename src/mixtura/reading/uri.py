"""Names of places that are not on this machine."""

from __future__ import annotations

import re

__all__ = ["shown"]

_PASSWORD = re.compile(r"(?i)\b(password|passfile|passwd|secret)(\s*=\s*|\s+)('[^']*'|[^\s';,)]+)")


def shown(text: str) -> str:
    """A path, URI or query as it may be shown: without what logs in to its place.

    >>> shown("s3://key:secret@bucket/rows")
    's3://bucket/rows'
    >>> shown("attach 'host=db user=me password=hidden' as pg (type postgres); from pg.rows")
    "attach 'host=db user=me password=…' as pg (type postgres); from pg.rows"
    """
    return _PASSWORD.sub(r"\1\2…", re.sub("(?<=://)[^/@]+@", "", text))
