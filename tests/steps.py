"""Components as the engine makes them, for tests that drive one step by hand."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from landbridge.components.base import FileDrop, FileEnd, FileStart
from landbridge.components.registry import get
from landbridge.engine.counts import StepCounts
from landbridge.engine.services import Services
from landbridge.records import Batch


def services(spool_dir=Path("/nonexistent")):
    return Services(
        step_id="step",
        job_id="job-1",
        started=datetime(2026, 3, 2, 4, 30, tzinfo=UTC),
        spool_dir=spool_dir,
        counts=StepCounts(),
        write_log=lambda *_: None,
    )


def make(component_id, params=None, *, spool_dir=Path("/nonexistent")):
    """A component with its services, from JSON parameters."""
    kind = get(component_id)
    return kind(kind.Params.model_validate(params or {}), services(spool_dir))


def written(formatter, *pages):
    """The files a formatter makes of pages of plain objects: (name, content, records); honours FileDrop."""
    files, name, parts = [], None, []
    for event in formatter.format(iter([Batch.from_objects(page) for page in pages])):
        if isinstance(event, FileStart):
            assert name is None, "a file begins within another"
            name, parts = event.name, []
        elif isinstance(event, FileEnd):
            files.append((name, b"".join(parts), event.records))
            name = None
        elif isinstance(event, FileDrop):
            files, name, parts = [], None, []
        else:
            assert name is not None, "content outside a file"
            parts.append(event)
    assert name is None, "the last file has no end"
    return files


def parsed(parser, content, *, name="file", chunk=None):
    """The records a parser makes of a file that arrives in chunks."""
    size = chunk or max(len(content), 1)
    chunks = (content[at : at + size] for at in range(0, len(content), size))
    return [row for batch in parser.parse(FileStart(name), chunks) for row in batch.to_objects()]


def rejects(component) -> list[dict]:
    return component.services.take_rejects()


def lines(*texts: str, end: str = "\n") -> bytes:
    return "".join(text + end for text in texts).encode()


def batched(rows: Iterable[dict], size: int) -> list[list[dict]]:
    rows = list(rows)
    return [rows[at : at + size] for at in range(0, len(rows), size)]
