"""Scripts as files beside their dataflow, so that they can be read, reviewed and kept in Git."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from landbridge.components.catalogue import InstalledComponents
from landbridge.components.script.embedding import embedded
from landbridge.components.script.source import text_of
from landbridge.dataflow import Dataflow, DataflowError, Step
from landbridge.dataflow.model import read_text
from landbridge.dataflow.parameters import check_params
from landbridge.dataflow.problems import errors_of
from landbridge.errors import FlowError
from landbridge.remote.failures import reason_of

_SCRIPT_STEP = "record.evaluate"


def extract(flow: Path, *, overwrite: bool = False) -> dict[str, Path]:
    """Write each script of a dataflow to a file beside it, and give the files by step.

    Args:
        flow: The dataflow's file.
        overwrite: Replace files that hold something else: work that was not embedded yet.

    Raises:
        FlowError: LB-1623, there is no script; LB-1624, a file holds something else; LB-1622, a file cannot be read or
            written. Nothing was written then.
    """
    scripts = list(_scripts(flow, Dataflow.read(flow)))
    if not scripts:
        raise FlowError(
            "LB-1623",
            f"{flow} has no step of the type {_SCRIPT_STEP} with a script",
            hint="Expressions of field.evaluate stay in the dataflow; there is nothing to extract.",
        )
    texts = {path: text_of(step.params["script"]) for step, path in scripts}
    edited = [] if overwrite else [path for path, text in texts.items() if path.exists() and _read(path) != text]
    if edited:
        raise FlowError(
            "LB-1624",
            f"{', '.join(map(str, edited))}: not the script that the dataflow holds",
            hint=f"Put it into the dataflow with `landbridge script embed {flow}`, or overwrite it with --force.",
        )
    for path, text in texts.items():
        _write(path, text)
    return {step.id: path for step, path in scripts}


def embed(flow: Path) -> dict[str, Path | None]:
    """Put the scripts of the files back; the file by step, None where the script is the same.

    A script that was base64 becomes base64 again, and the rest of the dataflow's text stays as it is. A dataflow in
    which nothing changes is not written.

    Raises:
        FlowError: LB-1623, there is no file; LB-1622, one cannot be read or written; LB-1601 to LB-1606, a script
            cannot run. Nothing was written then.
    """
    dataflow = Dataflow.read(flow)
    found = {step.id: path for step, path in _scripts(flow, dataflow) if path.exists()}
    if not found:
        raise FlowError(
            "LB-1623",
            f"there is no file with a script of {flow}",
            hint=f"Write them first: landbridge script extract {flow}",
        )
    steps = tuple(_with_script(step, found[step.id]) if step.id in found else step for step in dataflow.steps)
    changed = {after.id for before, after in zip(dataflow.steps, steps, strict=True) if before is not after}
    if changed:
        _check(step for step in steps if step.id in changed)
        _write_bytes(flow, embedded(read_text(flow), replace(dataflow, steps=steps)))
    return {step: path if step in changed else None for step, path in found.items()}


def _scripts(flow: Path, dataflow: Dataflow) -> Iterator[tuple[Step, Path]]:
    """The steps with a script, and the file of each."""
    taken: set[Path] = set()
    for step in dataflow.steps:
        if step.type != _SCRIPT_STEP or not isinstance(step.params.get("script"), str):
            continue
        name = re.sub(r"[^\w.-]+", "-", step.id).strip("-.") or "script"
        path = flow.with_name(f"{flow.stem}.{name}.js")
        number = 2
        while path in taken:
            path = flow.with_name(f"{flow.stem}.{name}-{number}.js")
            number += 1
        taken.add(path)
        yield step, path


def _check(steps: Iterable[Step]) -> None:
    info = InstalledComponents().describe(_SCRIPT_STEP)
    wrong = [problem for step in steps for problem in errors_of(check_params(step, info, place="params"))]
    if wrong:
        raise DataflowError(wrong)


def _with_script(step: Step, path: Path) -> Step:
    text = _read(path)
    present = step.params["script"]
    if text == text_of(present):
        return step
    was_base64 = text_of(present) != present
    return replace(
        step,
        params={**step.params, "script": base64.b64encode(text.encode()).decode() if was_base64 else text},
    )


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FlowError("LB-1622", f"cannot read {path}: {reason_of(error)}", hint="Write it as UTF-8 text.") from None


def _write(path: Path, text: str) -> None:
    _write_bytes(path, text.encode())


def _write_bytes(path: Path, content: bytes) -> None:
    """Replace a file in one step."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.write_bytes(content)
        if path.exists():
            temporary.chmod(path.stat().st_mode & 0o7777)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise FlowError(
            "LB-1622", f"cannot write {path}: {error.strerror}", hint="Let this user write to its folder."
        ) from None
