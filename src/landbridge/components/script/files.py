"""Scripts as files beside their dataflow, so that they can be read, reviewed and kept in Git."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from landbridge.components.script.source import text_of
from landbridge.dataflow import Dataflow, Step
from landbridge.dataflow.model import read_text
from landbridge.errors import FlowError

_SCRIPT_STEP = "record.evaluate"


def extract(flow: Path) -> dict[str, Path]:
    """Write each script of a dataflow to a file beside it, and give the files by step.

    Raises:
        FlowError: LB-1623, there is no script; LB-1622, a file cannot be written.
    """
    scripts = list(_scripts(flow, Dataflow.read(flow)))
    if not scripts:
        raise FlowError("LB-1623", f"{flow} has no step of the type {_SCRIPT_STEP} with a script")
    for step, path in scripts:
        _write(path, text_of(step.params["script"]))
    return {step.id: path for step, path in scripts}


def embed(flow: Path) -> dict[str, Path | None]:
    """Put the scripts of the files back; the file by step, None where the script is the same.

    A script that was base64 becomes base64 again. A dataflow in which nothing changes is not written.

    Raises:
        FlowError: LB-1623, there is no file; LB-1622, one cannot be read or written.
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
        _write(flow, _dumped(replace(dataflow, steps=steps), read_text(flow).decode("utf-8-sig")))
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


def _with_script(step: Step, path: Path) -> Step:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FlowError("LB-1622", f"cannot read {path}: {error}") from None
    present = step.params["script"]
    if text == text_of(present):
        return step
    was_base64 = text_of(present) != present
    return replace(
        step,
        params={**step.params, "script": base64.b64encode(text.encode()).decode() if was_base64 else text},
    )


def _dumped(flow: Dataflow, before: str) -> str:
    """JSON text, indented as the text before."""
    match = re.search(r"\n([ \t]+)", before)
    indent: int | str | None = None
    if match:
        indent = match[1] if "\t" in match[1] else len(match[1])
    end = "\n" if before.endswith("\n") else ""
    return json.dumps(flow.as_json(), indent=indent, ensure_ascii=False) + end


def _write(path: Path, text: str) -> None:
    """Replace a file in one step."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.write_bytes(text.encode())
        temporary.replace(path)
    except OSError as error:
        raise FlowError("LB-1622", f"cannot write {path}: {error.strerror}") from None
