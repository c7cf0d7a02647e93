"""Pages about dead letters: a list, one record with a preview of its bytes. Pure functions from records to lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xiezhi.cli.terminal import instant, pairs, table
from xiezhi.dead_letter_log import DeadRecord

_BYTES_A_LINE = 16


def listing(records: Sequence[DeadRecord]) -> list[str]:
    """A table without anything of the records' content."""
    if not records:
        return ["no dead letters wait"]
    return table(("id", "stage", "reason", "attempts", "failed", "bytes", "detail"), map(_cells, records))


def _cells(record: DeadRecord) -> tuple[str, ...]:
    letter = record.newest.content
    failed = instant(letter.failed_ms)
    return (
        record.origin,
        letter.stage,
        letter.reason,
        str(letter.attempts),
        failed,
        str(record.newest.value_bytes),
        letter.detail,
    )


def to_object(record: DeadRecord, *, whole: bool = False) -> dict[str, Any]:
    """For programs. Bytes are base64; without `whole` there are none."""
    content = record.newest.content.model_dump(
        mode="json", exclude=None if whole else {"key", "value", "headers"}
    )
    return {"id": record.origin, "waits": record.waits, "value_bytes": record.newest.value_bytes, **content}


def page(record: DeadRecord, preview: int) -> list[str]:
    contents = [each.content for each in record.letters]
    letter = contents[-1]
    facts = [
        ("id", record.origin),
        ("stage", letter.stage),
        ("reason", letter.reason),
        ("detail", letter.detail),
        ("attempts", str(letter.attempts)),
        ("waits", "yes" if record.waits else "no, it was sent again and did not come back"),
        ("stood at", letter.record_id),
        ("ingested", instant(letter.source.ingested_ms)),
        ("failed", instant(letter.failed_ms)),
    ]
    lines = pairs(facts)
    lines += [
        "",
        "headers",
        *pairs([(f"  {h.name}", _readable_bytes(h.value)) for h in letter.headers]),
    ]
    for name, data in (("key", letter.key), ("value", letter.value)):
        lines += [
            "",
            f"{name}: {'null' if data is None else f'{len(data)} bytes'}",
            *_hex(data or b"", preview),
        ]
    if len(contents) > 1:
        rows = [(str(c.attempts), c.stage, c.reason, instant(c.failed_ms)) for c in contents]
        lines += ["", *table(("attempt", "stage", "reason", "failed"), rows)]
    return lines


def _readable_bytes(data: bytes | None) -> str:
    """A header's text, or its bytes in hex when it is none."""
    if data is None:
        return "null"
    try:
        return data.decode()
    except UnicodeDecodeError:
        return f"0x{data.hex()}"


def _hex(data: bytes, preview: int) -> list[str]:
    """Offset, bytes, and their printable ASCII; at most `preview` bytes."""
    lines = []
    for start in range(0, min(len(data), preview), _BYTES_A_LINE):
        row = data[start : min(start + _BYTES_A_LINE, preview)]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"  {start:08x}  {row.hex(' '):<{3 * _BYTES_A_LINE - 1}}  {shown}")
    if len(data) > preview:
        lines.append(f"  … {len(data) - preview} more; --bytes shows more, --json all")
    return lines
