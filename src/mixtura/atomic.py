"""Files that appear whole or not at all."""

from __future__ import annotations

import glob
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from mixtura._errors import InputError

try:
    import fcntl
except ImportError:  # where there is none, a file that is open cannot be removed
    fcntl = None  # type: ignore[assignment]

__all__ = ["swept", "written_whole"]


@contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A binary stream whose content becomes the file `path` when the block ends well.

    The stream is a temporary file in the same folder, moved over `path` at the end; when the
    block raises or is interrupted it is removed and what stood at `path` is untouched. A device
    or a named pipe is written to directly.

    Raises
    ------
    InputError
        When the folder is not there or cannot be written to.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "numbers.txt"
    >>> with written_whole(target) as stream:
    ...     _ = stream.write(b"1 2 3")
    >>> target.read_bytes()
    b'1 2 3'
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):
        with target.open("wb") as stream:
            yield stream
        return
    try:
        descriptor, name = tempfile.mkstemp(".tmp", f".{target.name}.", target.parent)
    except OSError as error:
        raise InputError(f"cannot write {os.fspath(path)}: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as stream:
            _lock(stream)
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, _mode(target))
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def swept(path: str | os.PathLike[str]) -> None:
    """Remove what a process that was killed amid `written_whole` has left beside `path`.

    The temporary file of a process that still writes is locked, and stays.
    """
    target = Path(os.path.realpath(path))
    for left in target.parent.glob(f".{glob.escape(target.name)}.*.tmp"):
        with suppress(OSError), left.open("rb") as stream:
            _lock(stream)
            left.unlink()


def _lock(stream: IO[bytes]) -> None:
    """Lock a file until it is closed, or its process ends, however.

    Raises
    ------
    BlockingIOError
        Another has locked it.
    """
    if fcntl is not None:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _mode(target: Path) -> int:
    """The permissions of the file that is replaced, or what the umask gives a new one."""
    if target.exists():
        return stat.S_IMODE(target.stat().st_mode)
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask
