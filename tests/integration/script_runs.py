"""Runs of scripts and of whole dataflows for the tests of record.evaluate."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import anyio

from landbridge.components.record import Evaluate
from landbridge.dataflow import Dataflow, EnvironmentSecrets, JobValues
from landbridge.engine.prepare import prepare
from landbridge.engine.rejects import RejectFile
from landbridge.engine.runner import Job, Runner
from landbridge.records import Batch

NOW = datetime(2026, 3, 2, 6, 30, tzinfo=UTC)


@dataclass
class Witness:
    """Services that keep what a step tells them."""

    step_id: str = "script"
    job_id: str = "job-1"
    dataflow: str = "Nightly"
    started: datetime = NOW
    spool_dir: Path = Path("/nonexistent")
    rejected: list = field(default_factory=list)
    lines: list = field(default_factory=list)

    def reject(self, records, errors):
        self.rejected += list(zip(records.to_objects(), errors, strict=True))

    def log(self, level, message):
        self.lines.append((level, message))

    def progress(self):
        pass


def make(script, services=None, **params):
    return Evaluate(Evaluate.Params.model_validate({"script": script, **params}), services or Witness())


def evaluate(script, *records, services=None, **params):
    """The records that go on; one batch, and the call after the last record."""
    step = make(script, services, **params)
    try:
        made = step.apply(Batch.from_objects(records)).to_objects()
    finally:
        last = step.finish()
    return made + (last.to_objects() if last else [])


def body(code):
    """A script of the current form around a function body."""
    return "function process(record, ctx, logger, next, error) {\n" + code + "\n}"


def rejects(script, *records, **params):
    """Code and message of each record that failed, and what was kept of it."""
    services = Witness()
    evaluate(script, *records, services=services, **params)
    return [(error.code, error.message, record) for record, error in services.rejected]


def flow(folder, *steps):
    """A dataflow over the JSON lines in ``folder/in``."""
    entry = [
        {"id": "read", "type": "datasource.read.local", "params": {"path": str(folder / "in")}, "next": ["parse"]},
        {"id": "parse", "type": "file.parse.json", "next": [steps[0]["id"]]},
    ]
    return {"name": "Scripts", "steps": [*entry, *steps]}


def script(step_id, code, *, then, error=(), **params):
    return {
        "id": step_id,
        "type": "record.evaluate",
        "params": {"script": code, **params},
        "next": list(then),
        "error": list(error),
    }


def into(folder, name):
    """The two steps that write records to ``folder/out/name.json``; name the first as target."""
    return [
        {"id": name, "type": "file.format.json", "params": {"fileName": f"{name}.json"}, "next": [f"{name} out"]},
        {
            "id": f"{name} out",
            "type": "datasource.write.local",
            "params": {"path": str(folder / "out"), "createFolders": True},
        },
    ]


def prepared(document, **placeholders):
    dataflow, problems = Dataflow.from_json(document)
    assert not problems
    values = JobValues(now=NOW, job_id="job-1", placeholders=placeholders)
    return prepare(dataflow, job=values, source=EnvironmentSecrets({}))


async def drive(folder, document, job_id="job-1", **placeholders):
    ready = prepared(document, **placeholders)
    (folder / "spool").mkdir(exist_ok=True)
    job = Job(
        id=job_id,
        dataflow=ready.plan.name,
        started=NOW,
        spool_dir=folder / "spool",
        rejects=RejectFile(folder / f"{job_id}.rejects.jsonl", job=job_id),
    )
    return await Runner(ready.plan, ready.make, job).run()


def run(folder, document, records, **placeholders):
    """Run the dataflow over ``records``; the report and the written files by name."""
    source = folder / "in"
    source.mkdir(exist_ok=True)
    (source / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    report = anyio.run(lambda: drive(folder, document, **placeholders))
    out = folder / "out"
    files = {path.stem: json.loads(path.read_text()) for path in out.iterdir()} if out.exists() else {}
    return report, files
