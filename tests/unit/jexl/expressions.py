"""Evaluation of single expressions for the tests."""

from datetime import UTC, datetime
from pathlib import Path

from landbridge.components.field.evaluate import FieldEvaluate
from landbridge.records import Batch


class Witness:
    step_id = "compute"
    job_id = "job-1"
    dataflow = "Nightly"
    started = datetime(2026, 3, 2, tzinfo=UTC)
    spool_dir = Path("/nonexistent")

    def __init__(self):
        self.rejected = []

    def reject(self, records, errors):
        self.rejected += list(zip(records.to_objects(), errors, strict=True))

    def log(self, level, message):
        raise AssertionError(message)

    def progress(self):
        raise AssertionError


def evaluate(records, **fields):
    """The records with the fields computed, and the rejects."""
    services = Witness()
    rules = [{"field": field.replace("__", "."), "expression": text} for field, text in fields.items()]
    step = FieldEvaluate(FieldEvaluate.Params.model_validate({"fields": rules}), services)
    return step.apply(Batch.from_objects(records)).to_objects(), services.rejected


def value(expression, **record):
    """The value of an expression for one record; "absent" where it sets nothing."""
    (made,), rejected = evaluate([record], result=expression)
    assert rejected == []
    return made.get("result", "absent")


def failure(expression, **record):
    """Why an expression has no value for a record."""
    made, rejected = evaluate([record], result=expression)
    assert made == []
    ((kept, error),) = rejected
    assert kept == record
    assert error.code == "LB-4611"
    return error.message
