"""Ready dataflows, one JSON file each, with ``{{placeholders}}`` for what differs from site to site."""

from __future__ import annotations

from importlib.resources import files

from landbridge.dataflow import Dataflow


def template(name: str) -> Dataflow:
    """The template ``name``, without ``.json``.

    Raises:
        FileNotFoundError: There is none of that name.
    """
    source = files(__name__) / f"{name}.json"
    return Dataflow.load(source.read_bytes(), source=f"{name}.json")


def names() -> list[str]:
    """The names of all templates, sorted."""
    return sorted(
        entry.name.removesuffix(".json") for entry in files(__name__).iterdir() if entry.name.endswith(".json")
    )
