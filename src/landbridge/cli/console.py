"""Tables and lines on a terminal, and the same in a pipe or file: there nothing is wrapped, cut or padded."""

from __future__ import annotations

import sys
from typing import Final

from rich.console import Console, RenderableType

_UNLIMITED: Final = 100_000
"""Columns of what is no terminal."""


def show(renderable: RenderableType, *, stderr: bool = False) -> None:
    """Print a table, or a text with markup.

    A terminal gets line breaks where they fit; where not even the shortest form of a table fits, its lines run over
    the edge, because half a number is none.
    """
    file = sys.stderr if stderr else sys.stdout
    console = Console(file=file)
    if console.is_terminal:
        needed = console.measure(renderable, options=console.options.update(width=_UNLIMITED)).minimum
        console.width = max(console.width, needed)
        console.print(renderable, highlight=False)
        return
    wide = Console(file=file, width=_UNLIMITED)
    with wide.capture() as captured:
        wide.print(renderable, highlight=False)
    file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
