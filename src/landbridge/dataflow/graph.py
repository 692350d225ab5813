"""The graph of a dataflow as text for a terminal and as Mermaid for a page, even of a wrong one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from landbridge.dataflow.model import Dataflow
from landbridge.dataflow.plan import Plan


@dataclass(frozen=True, slots=True)
class _Node:
    id: str
    component: str
    next: tuple[str, ...]
    error: tuple[str, ...]

    def edges(self) -> list[tuple[str, str]]:
        """Label and target of each edge; the label of ``next`` is empty."""
        return [("", target) for target in self.next] + [("error", target) for target in self.error]


def as_text(flow: Plan | Dataflow) -> str:
    """The graph as lines: a chain runs straight down, a split makes branches, a join is named again.

    ::

        account  datasource.read.gigya.account
        ├─ csv  file.format.dsv
        │  sftp  datasource.write.sftp
        └─ done  file.empty
           sftp  (above)
    """
    nodes = _nodes(flow)
    if not nodes:
        return "(no steps)"
    drawn: set[str] = set()
    lines: list[str] = []
    for id_ in [*_entries(nodes), *nodes]:
        if id_ not in drawn:
            lines.extend(_draw(id_, nodes, drawn))
    return "\n".join(lines)


def as_mermaid(flow: Plan | Dataflow) -> str:
    """The graph as a Mermaid flowchart; error paths are dashed, steps that do not exist are marked."""
    nodes = _nodes(flow)
    names = {id_: f"s{index}" for index, id_ in enumerate(nodes)}
    lines = ["flowchart LR"]
    lines += [
        f'  {names[node.id]}["{_mermaid_text(node.id)}<br/><small>{_mermaid_text(node.component)}</small>"]'
        for node in nodes.values()
    ]
    for node in nodes.values():
        for label, target in node.edges():
            if target not in names:
                names[target] = f"x{len(names)}"
                lines.append(f'  {names[target]}["{_mermaid_text(target)}<br/><small>no such step</small>"]:::missing')
            arrow = f"-. {label} .->" if label else "-->"
            lines.append(f"  {names[node.id]} {arrow} {names[target]}")
    if any(line.endswith(":::missing") for line in lines):
        lines.append("  classDef missing stroke:#c00,stroke-dasharray:4")
    return "\n".join(lines) + "\n"


def _nodes(flow: Plan | Dataflow) -> dict[str, _Node]:
    if isinstance(flow, Plan):
        return {step.id: _Node(step.id, step.component, step.next, step.error) for step in flow.steps}
    return {step.id: _Node(step.id, step.type, step.next, step.error) for step in flow.steps}


def _entries(nodes: dict[str, _Node]) -> list[str]:
    named = {target for node in nodes.values() for _, target in node.edges() if target != node.id}
    return [id_ for id_ in nodes if id_ not in named]


def _draw(start: str, nodes: dict[str, _Node], drawn: set[str]) -> Iterator[str]:
    """The lines from ``start`` on. A stack entry: indent of its first line, of the others, label, id."""
    stack = [("", "", "", start)]
    while stack:
        first, rest, label, id_ = stack.pop()
        node = nodes.get(id_)
        tail = "(no such step)" if node is None else "(above)" if id_ in drawn else _printable(node.component)
        yield f"{first}{label}{': ' if label else ''}{_printable(id_)}  {tail}"
        if node is None or id_ in drawn:
            continue
        drawn.add(id_)
        edges = node.edges()
        if len(edges) == 1 and not edges[0][0]:
            stack.append((rest, rest, "", edges[0][1]))
            continue
        branches = [
            (f"{rest}{'└─ ' if last else '├─ '}", f"{rest}{'   ' if last else '│  '}", kind, target)
            for last, (kind, target) in ((index == len(edges) - 1, edge) for index, edge in enumerate(edges))
        ]
        stack.extend(reversed(branches))


def _printable(text: str) -> str:
    """Text with control characters, which could move a terminal's cursor, as an escaped JSON text."""
    return text if text.isprintable() and text else json.dumps(text)


def _mermaid_text(text: str) -> str:
    """Everything but letters, digits and harmless marks as Mermaid's numeric entities."""
    return re.sub(r"[^\w .,:/+-]", lambda match: f"#{ord(match[0])};", re.sub(r"\s+", " ", text))
