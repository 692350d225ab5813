"""The registry as the dataflow language sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from landbridge.components import registry
from landbridge.components.base import (
    Component,
    FileReader,
    FileTransform,
    FileWriter,
    Formatter,
    Lookup,
    Parser,
    RecordReader,
    RecordWriter,
    Transform,
)
from landbridge.dataflow.catalogue import ComponentInfo, Kind
from landbridge.errors import FlowError

_KINDS: Final[dict[type[Component], Kind]] = {
    RecordReader: "record_reader",
    FileReader: "file_reader",
    Parser: "parser",
    Transform: "transform",
    Lookup: "lookup",
    Formatter: "formatter",
    FileTransform: "file_transform",
    FileWriter: "file_writer",
    RecordWriter: "record_writer",
}


class InstalledComponents:
    """All components that are installed here, as a Catalogue."""

    def ids(self) -> Sequence[str]:
        """All component ids."""
        return registry.ids()

    def describe(self, id: str, /) -> ComponentInfo | None:
        """The component ``id``, or None when there is no such component."""
        if id not in registry.ids():
            return None
        cls = registry.get(id)
        return ComponentInfo(
            id=id,
            title=cls.spec.title,
            kind=kind_of(cls),
            inputs=cls.inputs,
            outputs=cls.outputs,
            has_error_edge=cls.has_error_edge,
            params_model=cls.Params,
        )


def kind_of(cls: type[Component]) -> Kind:
    """What sort of step a component makes.

    Raises:
        FlowError: LB-1102 where a third-party class has none of the kinds.
    """
    for base in cls.__mro__:
        if base in _KINDS:
            return _KINDS[base]
    raise FlowError(
        "LB-1102",
        f"the class {cls.__name__} is not a component of any kind",
        hint="Tell the maker of the package that provides it, or uninstall it.",
    )
