"""SQL, as DuckDB runs it: queries, relations, and the databases that it reaches."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from threading import RLock
from typing import TYPE_CHECKING, Any

from mixtura._errors import InputError, MissingDependency
from mixtura.reading.uri import shown

if TYPE_CHECKING:
    from mixtura.reading.stored import Stored

__all__ = ["is_query", "is_relation", "of_query", "of_relation"]

_QUERY = r"(select|with|from|values)\s"
_PLAIN = re.compile(rf"\s*{_QUERY}", re.IGNORECASE)
_PREPARED = re.compile(
    rf"\s*(attach|create|install|load|pragma|set|use)\s.*;\s*{_QUERY}", re.IGNORECASE | re.DOTALL
)

_one_at_a_time = RLock()
"""A connection has one open result: another query ends it, and the rows that are left are lost."""


def is_query(source: Any) -> bool:
    """Whether it is an SQL query, or statements that prepare one, and the query.

    >>> is_query("select x from 'rows.parquet'"), is_query("select.csv")
    (True, False)
    >>> is_query("attach 'dbname=rows' as pg (type postgres); select x from pg.public.rows")
    True
    """
    return isinstance(source, str) and any(kind.match(source) for kind in (_PLAIN, _PREPARED))


def is_relation(source: Any) -> bool:
    """Whether it is a relation of DuckDB."""
    return type(source).__name__ == "DuckDBPyRelation"


def of_query(query: str) -> Stored:
    """The answer to a query, of DuckDB's default connection or one that is prepared for it alone.

    Raises
    ------
    InputError
        DuckDB does not run it, or there is no answer.
    MissingDependency
        DuckDB is not installed.
    """
    try:
        import duckdb
    except ImportError as error:
        raise MissingDependency.of("duckdb", extra="sql") from error
    called = shown(query)
    alone = None if _PLAIN.match(query) else duckdb.connect()
    try:
        with _one_at_a_time:
            relation = (alone or duckdb).sql(query)
    except duckdb.Error as error:
        raise InputError(
            f"DuckDB does not run the query {called!r}: {shown(str(error))}. A connection's own "
            "tables are read by giving what its sql(...) returns, other databases by ATTACH …; "
            "before the query"
        ) from None
    if relation is None:
        raise InputError(f"{called!r} ends without an answer: let the last statement be a SELECT")
    found = of_relation(relation, called)

    def read(columns: Sequence[str], numbers: Sequence[str] = ()) -> Iterator[Any]:
        yield from found.read(columns, numbers)
        _ = alone  # which closes with its last reference, and the relation has none

    return replace(found, read=read)


def of_relation(relation: Any, called: str) -> Stored:
    """The rows of a relation: only the columns asked for are read, batch by batch.

    Raises
    ------
    InputError
        It cannot be read to its end: its connection is closed or in use, its database is gone.
    """
    from mixtura.reading.stored import Stored

    with _answering(called):
        schema = relation.limit(0).to_arrow_table().schema

    def read(columns: Sequence[str], numbers: Sequence[str] = ()) -> Iterator[Any]:
        with _answering(called):
            yield from _to_its_end(relation, columns, called)

    return Stored(schema, read, None, called)


def _to_its_end(relation: Any, columns: Sequence[str], called: str) -> Iterator[Any]:
    """Batches of columns, followed by a row that shows that nothing is lacking.

    Some versions of DuckDB end what is being read, without a word, when its connection is asked
    something else.
    """
    from mixtura.reading.stored import BATCH

    names = [_quoted(name) for name in columns]
    mark = _quoted("end" + "".join(columns))
    rows = relation.project(", ".join([*names, f"false as {mark}"]))
    nulls = [f"any_value({name}) as {name}" for name in names]
    last = relation.limit(0).aggregate(", ".join([*nulls, f"true as {mark}"]))
    chosen = rows.union(last)
    reader = getattr(chosen, "to_arrow_reader", None) or chosen.fetch_record_batch
    ended = False
    for batch in reader(BATCH):
        marks = batch.column(len(names)).to_numpy(zero_copy_only=False)
        ended = ended or bool(marks.any())
        found = batch.select(list(columns))
        yield found.filter(~marks) if marks.any() else found
    if not ended:
        raise InputError(
            f"{called} was broken off when its connection was asked something else: give each "
            "thread a cursor of its own, connection.cursor()"
        )


@contextmanager
def _answering(called: str) -> Iterator[None]:
    """What DuckDB or a database behind it says, as an error with what to do."""
    import duckdb
    import pyarrow as pa

    try:
        with _one_at_a_time:
            yield
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        said = shown(str(error).splitlines()[0])[:300]
        raise InputError(
            f"{called} could not be read to its end, and nothing of it is kept: {said}. Keep "
            "its connection open, by a variable of its own, see that its database is there, and "
            "read it again"
        ) from None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
