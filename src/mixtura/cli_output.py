"""Where the command line's tables and talk go."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from mixtura.cli_advice import in_options
from mixtura.cli_facts import Facts
from mixtura.io.plain_json import json_text
from mixtura.reading.writing import table_written


@dataclass(frozen=True)
class Target:
    """Where a table goes, and how much is said."""

    output: str
    form: str | None
    as_json: bool
    quiet: bool

    @contextmanager
    def writing(self) -> Iterator[tuple[Callable[[Any], None], Facts]]:
        """A function that writes a table block by block, and facts to be told at the end.

        Facts are told as one JSON object, with the table in it if it goes nowhere else.
        """
        known: Facts = {}
        if self.as_json and self.output == "-":
            parts: list[pa.Table] = []
            yield (
                lambda part: parts.append(part if isinstance(part, pa.Table) else pa.table(part)),
                known,
            )
            known["table"] = pa.concat_tables(parts).to_pydict()
        else:
            with table_written(self.output, form=self.form) as write:
                yield write, known
        if self.output != "-":
            known["written"] = [self.output]
        if self.as_json:
            print(json_text(known, indent=None))

    def say(self, *lines: str) -> None:
        """Talk, unless nobody listens."""
        if not self.quiet and not self.as_json:
            for line in lines:
                print(line, file=sys.stderr)


@contextmanager
def told_once() -> Iterator[list[str]]:
    """Collect the warnings of a block, each message once, in the command line's words."""
    messages: list[str] = []

    def note(message: Warning | str, *_: Any, **__: Any) -> None:
        text = in_options(message)
        if text not in messages:
            messages.append(text)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = note
        yield messages
