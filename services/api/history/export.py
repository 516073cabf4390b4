"""Everything that a filter selects, as CSV or JSON Lines, from Postgres through to whoever reads.

Postgres writes the lines (COPY), so a row costs this process nothing but its bytes; at most a few chunks are held,
and a reader who stops reading stops Postgres, for a while, and then loses the export.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final, Literal

from services.api.history import columns, selection
from services.api.history.queries import Pool
from services.api.history.run_filter import RunFilter
from services.api.history.selection import Moment, Statement
from services.infra.lifecycle import end

Format = Literal["csv", "jsonl"]

AT_ONCE: Final = 3
"""So many exports run in a process; a reader is slow by its nature, and holds a connection."""

_CHUNKS: Final = 8
_PATIENCE_S: Final = 60
_LONGEST_S: Final = 3_600

_BEGINS_A_FORMULA: Final = "=+-@\\t\\r\\n\uff1d\uff0b\uff0d\uff20"
"""The last four as wide as a Chinese character, which some spreadsheets take for the others."""

_DEFUSED: Final = (
    f"CASE WHEN {{0}} <> '' AND strpos(E'{_BEGINS_A_FORMULA}', left({{0}}, 1)) > 0 THEN '''' || {{0}} ELSE {{0}} END"
)
"""A cell that a spreadsheet would take for a formula. Source: https://owasp.org/www-community/attacks/CSV_Injection"""

_ANY_CELL: Final = {"format": "csv", "delimiter": "\x02", "quote": "\x01"}
"""COPY without a delimiter or quote that can stand in JSON: a line as it is."""


_running: Final[set["asyncio.Task[None]"]] = set()


def busy() -> bool:
    """Whether as many run as may."""
    return len(_running) >= AT_ONCE


class ReaderTooSlow(Exception):
    """Nobody has read from the export for a minute."""


async def lines(pool: Pool, wanted: RunFilter, format: Format, moment: Moment | None = None) -> AsyncIterator[bytes]:
    """The rows, oldest first, in chunks of whole bytes. Raises what asyncpg raises, ReaderTooSlow."""
    chunks: asyncio.Queue[bytes | None] = asyncio.Queue(_CHUNKS)
    copying = asyncio.create_task(_copy(pool, _statement(wanted, format, moment), format, chunks))
    _running.add(copying)
    copying.add_done_callback(_running.discard)
    try:
        while (chunk := await _next(chunks, copying)) is not None:
            yield chunk
        await copying
    finally:
        await end([copying])


async def _next(chunks: "asyncio.Queue[bytes | None]", copying: "asyncio.Task[None]") -> bytes | None:
    """The next chunk; None after the last, and where copying ended early."""
    if chunks.empty():
        taking = asyncio.ensure_future(chunks.get())
        await asyncio.wait({taking, copying}, return_when=asyncio.FIRST_COMPLETED)
        if taking.done():
            return taking.result()
        await end([taking])
    with suppress(asyncio.QueueEmpty):
        return chunks.get_nowait()
    return None


async def _copy(pool: Pool, statement: Statement, format: Format, chunks: "asyncio.Queue[bytes | None]") -> None:
    async def hand_on(data: bytes) -> None:
        try:
            await asyncio.wait_for(chunks.put(bytes(data)), _PATIENCE_S)
        except TimeoutError:
            raise ReaderTooSlow from None

    how = {"format": "csv", "header": True} if format == "csv" else _ANY_CELL
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute("SET LOCAL statement_timeout = 0")
        await connection.copy_from_query(statement.text, *statement.values, output=hand_on, timeout=_LONGEST_S, **how)
    await chunks.put(None)


def _statement(wanted: RunFilter, format: Format, moment: Moment | None) -> Statement:
    if format == "csv":
        cells = {name: _DEFUSED if _is_text(name) else "{0}" for name in columns.SHOWN}
        return selection.everything(wanted, cells, columns.CALLED, moment)
    cells = {name: "{0}::json" if name.endswith("_json") else "{0}" for name in columns.SHOWN}
    rows = selection.everything(wanted, cells, columns.CALLED, moment)
    return Statement(f"SELECT row_to_json(line) FROM ({rows.text}) AS line", rows.values)


def _is_text(name: str) -> bool:
    return columns.COLUMNS[columns.INDEX[name]].type == "text"
