"""Component ids to classes, imported on first use so that ``landbridge --help`` stays quick.

Own components are listed in ``_MODULES``; others come from packages that declare the entry point group
``landbridge.components`` (name = component id, value = ``module:Class``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from landbridge.components.base import Component, ComponentSpec
from landbridge.dataflow.catalogue import unknown_component
from landbridge.dataflow.problems import COMPONENT_NOT_LOADED
from landbridge.errors import FlowError

C = TypeVar("C", bound=type[Component])

_ROOT = "landbridge.components."
_MODULES: dict[str, str] = {}


def _own(module: str, *ids: str) -> None:
    _MODULES.update(dict.fromkeys(ids, _ROOT + module))


_own("field.arrays", "field.array.extract", "field.array.join")
_own("field.boolean", "field.boolean")
_own("field.evaluate", "field.evaluate")
_own(
    "field.names",
    *("field.copy", "field.flatten", "field.move", "field.remove", "field.rename", "field.select"),
)
_own("field.values", "field.add", "field.date.format", "field.replace")
_own("file.aam", "file.format.aam")
_own("file.dsv_format", "file.format.dsv")
_own("file.dsv_parse", "file.parse.dsv")
_own("file.gzip", "file.compress.gzip", "file.uncompress.gzip")
_own("file.json", "file.format.json", "file.parse.json")
_own("file.krux", "file.format.krux")
_own("file.lzo", "file.compress.lzo", "file.uncompress.lzo")
_own("file.marker", "file.empty", "file.format.count")
_own("file.pgp", "file.encrypt.pgp", "file.decrypt.pgp")
_own("file.zip", "file.compress.zip", "file.uncompress.zip")
_own("record", "record.evaluate")
_own(
    "datasource.azure",
    *("datasource.read.azure.blob", "datasource.write.azure.blob"),
    *("datasource.read.azure.sas", "datasource.write.azure.sas"),
)
_own("datasource.cheetahmail", "datasource.write.cheetahmail")
_own("datasource.ftp", "datasource.read.ftp", "datasource.write.ftp")
_own("datasource.gcs", "datasource.read.googlecloud.storage", "datasource.write.googlecloud.storage")
_own("datasource.gigya_account", "datasource.read.gigya.account", "datasource.write.gigya.account")
_own("datasource.gigya_audit", "datasource.read.gigya.audit")
_own("datasource.gigya_comment", "datasource.read.gigya.comment")
_own("datasource.gigya_consent", "datasource.lookup.gigya.consent")
_own("datasource.gigya_ds", "datasource.read.gigya.ds", "datasource.write.gigya.ds")
_own("datasource.gigya_generic", "datasource.write.gigya.generic")
_own("datasource.gigya_gm", "datasource.lookup.gigya.gm")
_own("datasource.gigya_importaccount", "datasource.write.gigya.importaccount")
_own("datasource.gigya_lookup", "datasource.lookup.gigya.account")
_own("datasource.local", "datasource.read.local", "datasource.write.local")
_own("datasource.lytics", "datasource.read.lytics.audience")
_own("datasource.responsys", "datasource.lookup.responsys", "datasource.read.responsys", "datasource.write.responsys")
_own("datasource.s3", "datasource.read.amazon.s3", "datasource.write.amazon.s3")
_own("datasource.silverpop", "datasource.read.silverpop", "datasource.write.silverpop")
_own("datasource.silverpop_contact", "datasource.write.silverpop.contact")
_own("datasource.silverpop_table", "datasource.write.silverpop.table")
_own("datasource.sftp", "datasource.read.sftp", "datasource.write.sftp")


def component(id: str, *, title: str, extra: str | None = None) -> Callable[[C], C]:
    """Register a class as the component ``id``.

    Args:
        id: IdentitySync component id.
        title: Name shown in the palette and on the reference page.
        extra: Name of the optional dependency group that this component needs.
    """

    def register(cls: C) -> C:
        cls.spec = ComponentSpec(id=id, title=title, kind=cls, extra=extra)
        return cls

    return register


def ids() -> list[str]:
    """All component ids that can be used, own and third-party, sorted."""
    return sorted({*_MODULES, *_third_party()})


@cache
def get(id: str) -> type[Component]:
    """The class of component ``id``.

    Raises:
        FlowError: LB-1101 with a suggestion when there is no such component; LB-1074 when the package that provides
            it fails.
    """
    if id in _MODULES:
        module = import_module(_MODULES[id])
        for candidate in vars(module).values():
            if isinstance(candidate, type) and issubclass(candidate, Component) and _id_of(candidate) == id:
                return candidate
        raise FlowError(
            "LB-1101",
            f'component "{id}" is announced but not defined in {module.__name__}',
            hint="This is a fault of landbridge; please report it.",
        )
    if id in _third_party():
        loaded = _loaded(id)
        if isinstance(loaded, type) and issubclass(loaded, Component) and _id_of(loaded) is not None:
            return loaded
        raise FlowError(
            "LB-1101",
            f'the package that provides component "{id}" does not define a component class',
            hint="Tell its maker, or uninstall it.",
        )
    raise unknown_component(id, ids())


def _loaded(id: str) -> object:
    """What the entry point of a third-party component names."""
    try:
        return _third_party()[id].load()
    except Exception as error:  # the code of other packages may raise anything
        raise FlowError(
            COMPONENT_NOT_LOADED,
            f'the component "{id}" cannot be loaded: {type(error).__name__}: {error}',
            hint="Ask the maker of the package that provides it, or install another version.",
        ) from error


def specs() -> Iterator[ComponentSpec]:
    """The spec of every component, in the order of their ids."""
    for name in ids():
        yield get(name).spec


def _id_of(cls: type[Component]) -> str | None:
    spec = cls.__dict__.get("spec")
    return spec.id if isinstance(spec, ComponentSpec) else None


@cache
def _third_party() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group="landbridge.components")}
