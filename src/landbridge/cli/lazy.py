"""Commands whose modules are imported when they are called, so that one command does not wait for all the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup
from typer.main import get_group

Command = TyperCommand | TyperGroup


class LazyCommands(MutableMapping[str, Command]):
    """Commands by name; each is made when it is looked up, and all of them by ``items`` and ``values``.

    Args:
        places: ``module:attribute`` by name. The attribute is a function, or a group of commands as a Typer.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = dict(places)
        self._made: dict[str, Command] = {}

    def __getitem__(self, name: str) -> Command:
        if name not in self._made:
            self._made[name] = _made(name, self._places[name])
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __setitem__(self, name: str, command: Command) -> None:
        self._places.setdefault(name, "")
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._places[name]
        self._made.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def lazy_group(places: Mapping[str, str]) -> type[TyperGroup]:
    """The class of a group with the commands at ``places`` (see LazyCommands)."""

    class LazyGroup(TyperGroup):
        """A group of commands that are not imported yet."""

        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.commands = LazyCommands(places)  # type: ignore[assignment] # the name of its values' type is private

        def list_commands(self, ctx: Any) -> list[str]:
            """The names, without an import."""
            del ctx
            return list(self.commands)

    return LazyGroup


class PlainCommand(TyperCommand):
    """A command whose usage shows arguments as they are written: ``FLOW...`` and ``[ID]``, without braces."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """What stands behind the command's name."""
        del ctx
        return [self.options_metavar or "", *map(_shown, filter(_is_argument, self.params))]


def _is_argument(param: Any) -> bool:
    return isinstance(param, TyperArgument)


def _shown(argument: Any) -> str:
    shown = str(argument.metavar or argument.name.upper())
    if argument.nargs != 1 and not shown.endswith("..."):
        shown += "..."
    return shown if argument.required or shown.startswith("[") else f"[{shown}]"


def _made(name: str, place: str) -> Command:
    module, _, attribute = place.partition(":")
    found = getattr(import_module(module), attribute)
    outer = typer.Typer(rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)
    if isinstance(found, typer.Typer):
        for info in found.registered_commands:
            info.cls = PlainCommand
        outer.add_typer(found, name=name)
    else:
        outer.command(name, cls=PlainCommand)(found)
    command = get_group(outer).commands[name]
    if not isinstance(command, TyperCommand | TyperGroup):
        raise TypeError(f"{place} is no command")
    return command
