"""The data that flows: records as Arrow columns that mean JSON objects. No I/O here."""

from landbridge.records.batch import Batch
from landbridge.records.path import Path

__all__ = ["Batch", "Path"]
