"""What a case is: its data, its contenders, and what is expected of Landbridge."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

FOLDER = Path(__file__).parent
PROJECT = FOLDER.parent
PEERS = FOLDER / ".venv-peers"

Kind = Literal["landbridge", "bare", "stdlib", "client", "peer"]
Server = Callable[[Path], AbstractContextManager[dict[str, str]]]


@dataclass(frozen=True, slots=True)
class Data:
    """Parameters of a generated input file.

    Attributes:
        generator: Name in ``generate.GENERATORS``.
        count: Number of records at full scale; MiB for ``noise``.
        file: Name of the file; ``.gz`` at its end compresses it.
        params: Further arguments of the generator.
        repeat: How often the content stands in the file.
    """

    generator: str
    count: int
    file: str
    params: dict[str, Any] = field(default_factory=dict)
    repeat: int = 1

    def scaled(self, scale: float) -> Data:
        """The same data, smaller."""
        return Data(self.generator, max(1, round(self.count * scale)), self.file, self.params, self.repeat)

    @property
    def key(self) -> str:
        """Folder name that is different for different content."""
        params = "".join(f"-{name}{json.dumps(value)}" for name, value in sorted(self.params.items()))
        return f"{self.generator}-{self.count}x{self.repeat}{params}{Path(self.file).suffix}"


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to do the work, as a command line.

    In ``command`` and ``env`` these are filled in: ``{python}``, ``{bin}`` (its folder), ``{input}`` and ``{output}``
    (folders), ``{file}`` (the input file), ``{report}``, ``{scratch}``, and what the case's server adds.

    Attributes:
        name: As the table shows it.
        kind: What it stands for.
        command: Program and arguments.
        remark: What it cannot do, or does differently.
        needs: A path that must exist; without it the contender is left out.
        same_output: Its output must be the same, record by record, as Landbridge's.
        env: Environment variables on top of the present ones.
        version: Command that prints its version.
        data: Its own input, where it differs from the case's.
    """

    name: str
    kind: Kind
    command: tuple[str, ...]
    remark: str = ""
    needs: Path | None = None
    same_output: bool = False
    env: dict[str, str] = field(default_factory=dict)
    version: tuple[str, ...] = ()
    data: Data | None = None


@dataclass(frozen=True, slots=True)
class Want:
    """Landbridge shall be at least ``ratio`` times as fast as a contender."""

    against: str
    ratio: float


@dataclass(frozen=True, slots=True)
class Case:
    """One task that all contenders do.

    Attributes:
        name: Unique name.
        title: What is done, in a few words.
        data: The input.
        contenders: Landbridge first.
        unit: What ``data.count`` counts.
        wants: Speed wanted; being ahead of every peer is always wanted.
        max_peak_mb: Memory that Landbridge may take at most.
        server: Runs what the contenders talk to, anew for each run; it is given the input file.
        stored: How many bytes have arrived at the server, given what it adds to the command lines. It must be as many
            as the input file has.
        only_full: Run only with ``--full``.
    """

    name: str
    title: str
    data: Data
    contenders: tuple[Contender, ...]
    unit: str = "records"
    wants: tuple[Want, ...] = ()
    max_peak_mb: float = 400.0
    server: Server = lambda _: nullcontext({})
    stored: Callable[[dict[str, str]], int] | None = None
    only_full: bool = False


def landbridge(case: str, flow: str = "flow.json", *, values: str = "", output: bool = True) -> Contender:
    """Landbridge's own command line on the flow of a case.

    Args:
        case: Folder of the case.
        flow: File name of the flow.
        values: File with values for the flow's placeholders.
        output: The flow writes to a local folder.
    """
    return Contender(
        name="landbridge",
        kind="landbridge",
        command=(
            "{bin}/landbridge", "run", "--quiet", "--report", "{report}",
            str(FOLDER / "cases" / case / flow), "--set", "input={input}",
            *(("--set", "output={output}") if output else ()),
            *(("--values", values) if values else ()),
        ),
        same_output=output,
    )  # fmt: skip


def script(case: str, name: str, kind: Kind, *, remark: str = "", same_output: bool = True) -> Contender:
    """A script of a case that runs in the project's environment."""
    return Contender(
        name=name,
        kind=kind,
        command=("{python}", "-m", f"benchmarks.cases.{case}.{name}", "{input}", "{output}"),
        same_output=same_output,
        remark=remark,
    )


def dlt(case: str, *, remark: str, compressed: bool = True) -> Contender:
    """The script of a case that runs dlt."""
    python = PEERS / "dlt" / "bin" / "python"
    return Contender(
        name="dlt",
        kind="peer",
        command=(str(python), str(FOLDER / "cases" / case / "dlt_peer.py"), "{input}", "{output}", "{scratch}"),
        needs=python,
        remark=remark,
        env={"NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "false" if compressed else "true"},
        version=(str(python), "-c", "from importlib.metadata import version; print(version('dlt'))"),
    )


def sling(*arguments: str, remark: str) -> Contender:
    """The sling program with the arguments of a case."""
    program = PEERS / "sling/lib/python3.11/site-packages/sling_linux_amd64/bin/sling-linux-amd64"
    return Contender(
        name="sling",
        kind="peer",
        command=(str(program), "run", "--src-stream", "file://{file}", *arguments),
        needs=program,
        remark=remark,
        version=("/bin/sh", "-c", f"cat {program.with_name('VERSION')}"),
    )


def singer(case: str, tap: str, program: str, *, remark: str, data: Data | None = None) -> Contender:
    """A Singer tap and the JSON lines target with the configuration of a case."""
    tap_program = PEERS / tap / "bin" / program
    target = PEERS / "target-jsonl" / "bin" / "target-jsonl"
    configuration = str(FOLDER / "cases" / case / "singer.json")
    return Contender(
        name="singer",
        kind="peer",
        command=(
            "{python}", "-m", "benchmarks.singer", str(tap_program), str(target), configuration,
            "{input}", "{output}", "{file}",
        ),
        needs=tap_program,
        remark=remark,
        version=(str(tap_program), "--version"),
        data=data,
    )  # fmt: skip
