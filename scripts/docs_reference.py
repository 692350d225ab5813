#!/usr/bin/env python3
"""Write the reference pages in docs/reference/ from the code they describe.

scripts/docs_reference.py            write the pages
scripts/docs_reference.py --check    only say which pages are out of date, and fail if any is
"""

from __future__ import annotations

import enum
import html
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, get_type_hints

from fastapi import FastAPI
from pydantic import ValidationError
from typer.main import get_command

from landbridge import errors
from landbridge.cli.app import app
from landbridge.components import registry
from landbridge.components.base import Component
from landbridge.components.reference import Parameter, parameters_of, ports_of
from landbridge.dataflow import problems
from landbridge.server.api import router
from landbridge.server.api.openapi import document

FOLDER: Final = Path(__file__).parents[1] / "docs" / "reference"
NOTE: Final = "<!-- Written by scripts/docs_reference.py; `make docs` renews it. -->\n"
FAMILIES: Final = (
    ("datasource.read.", "readers", "Readers", "A reader is the first step of a dataflow."),
    (
        "datasource.write.",
        "writers",
        "Writers",
        "A writer delivers files or records. What it delivered goes on to `next`, where there is one.",
    ),
    ("datasource.lookup.", "lookups", "Lookups", "A lookup adds to each record what another system knows of it."),
    ("field.", "fields", "Fields", "These steps change the fields of every record."),
    ("record.", "records", "Records", "These steps change whole records, or drop them."),
    ("file.parse.", "parsers", "Parsers", "A parser makes records of files."),
    ("file.compress.", "compression", "Compression", "These steps change files on their way."),
    ("file.uncompress.", "compression", "Compression", "These steps change files on their way."),
    ("file.encrypt.", "encryption", "Encryption", "These steps change files on their way."),
    ("file.decrypt.", "encryption", "Encryption", "These steps change files on their way."),
    ("file.", "formatters", "Formatters", "A formatter makes files of records."),
)
"""Beginning of the ids, name of the page, its title, and what its components are; the first that fits counts."""

CODE_SPAN: Final = re.compile(r"(`+)(.+?)\1", re.DOTALL)
ONE_LINE_LIST: Final = re.compile(r'\[\s+("[^"\[\]]*"(?:,\s+"[^"\[\]]*")*)\s+\]')
"""A list of texts in indented JSON."""


def pages() -> dict[str, str]:
    """Every reference page: its path below docs/reference, and its text."""
    by_page: dict[str, list[type[Component]]] = {}
    titles: dict[str, tuple[str, str]] = {}
    for cls in components():
        page, title, text = family_of(cls.spec.id)
        by_page.setdefault(page, []).append(cls)
        titles[page] = (title, text)
    order = list(dict.fromkeys(page for _, page, *_ in FAMILIES if page in by_page))
    found = {f"components/{page}.md": component_page(*titles[page], by_page[page]) for page in order}
    found["components/index.md"] = components_index([(page, titles[page][0], by_page[page]) for page in order])
    found["errors.md"] = errors_page()
    found["command-line.md"] = command_line_page()
    found["api.md"] = api_page()
    return found


def components() -> list[type[Component]]:
    """The components that come with landbridge, by id; other packages document theirs."""
    classes = [registry.get(name) for name in registry.ids()]
    return [cls for cls in classes if cls.__module__.startswith("landbridge.")]


def family_of(component: str) -> tuple[str, str, str]:
    """Name, title and introduction of the page that describes a component."""
    for beginning, page, title, text in FAMILIES:
        if component.startswith(beginning):
            return page, title, text
    raise SystemExit(f"docs_reference.py: no page for the component {component}; add one to FAMILIES")


# -- components --------------------------------------------------------------------------------------------------------


def components_index(families: list[tuple[str, str, list[type[Component]]]]) -> str:
    """The page that lists all components."""
    lines = [
        "# Components",
        "",
        "Every component that is installed with landbridge. `landbridge components` prints the same list,",
        "`landbridge components ID` one component with its parameters, and `--json` the JSON schema of the parameters.",
    ]
    for page, title, classes in families:
        lines += ["", f"## {title}", ""]
        rows = (
            [f"[`{cls.spec.id}`]({page}.md#{anchor(cls.spec.id)})", prose(cls.spec.title), *ports_of(cls)]
            for cls in classes
        )
        lines += table(("component", "what it does", "takes", "gives"), rows)
    return finished(lines)


def component_page(title: str, text: str, classes: list[type[Component]]) -> str:
    """The page of one family of components."""
    lines = [f"# {title}", "", text]
    for cls in classes:
        lines += ["", *component_section(cls)]
    return finished(lines)


def component_section(cls: type[Component]) -> Iterator[str]:
    """One component: what it does, its parameters, and a step that uses it."""
    spec = cls.spec
    takes, gives = ports_of(cls)
    yield f"## {spec.id}"
    yield ""
    error_path = "; failed records take the error path" if cls.has_error_edge else ""
    yield f"**{prose(spec.title)}.** Takes {takes}, gives {gives}{error_path}."
    yield ""
    yield prose(spec.doc)
    yield ""
    if spec.extra:
        yield f'Needs an optional library: `pip install "landbridge[{spec.extra}]"`.'
        yield ""
    rows = parameters_of(cls)
    if rows:
        yield from table(("parameter", "type", "default", "meaning", "example"), map(parameter_row, rows))
    else:
        yield "It has no parameters."
    yield ""
    yield "```json"
    yield ONE_LINE_LIST.sub(on_one_line, json.dumps(example_step(cls), indent=2, ensure_ascii=False))
    yield "```"


def parameter_row(row: Parameter) -> list[str]:
    """The cells of one parameter."""
    default = "required" if row.required else "" if row.default is None else code(shown(row.default))
    example = "" if row.example is None or row.secret else code(shown(row.example))
    return [code(row.name), prose(row.type), default, prose(row.text), example]


def example_step(cls: type[Component]) -> dict[str, Any]:
    """A step as it stands in a dataflow: the parameters that it cannot do without, filled with their examples."""
    name = cls.spec.id.rpartition(".")[2]
    rows = [row for row in parameters_of(cls) if "[]" not in row.name]
    params = {row.name: example_value(row, step=name) for row in rows if row.required}
    for row in [None, *(row for row in rows if not row.required)]:
        if row is not None:
            value = example_value(row, step=name)
            if value is None:
                continue
            params[row.name] = value
        try:
            cls.Params.model_validate(params)
        except ValidationError:
            continue
        break
    step: dict[str, Any] = {"id": name, "type": cls.spec.id}
    if params:
        step["params"] = params
    return step | ({} if cls.spec.id.startswith("datasource.write.") else {"next": ["…"]})


def example_value(row: Parameter, *, step: str) -> Any:
    """The value of a parameter in an example: secrets are references."""
    if row.secret:
        return f"${{secret:{step}-{row.name}}}"
    return row.example


# -- errors ------------------------------------------------------------------------------------------------------------


def meanings() -> dict[str, str]:
    """Every error code with its meaning, in the order of the codes."""
    return dict(sorted({**problems.CODES, **errors.CODES}.items()))


def errors_page() -> str:
    """The page of all error codes."""
    lines = [
        "# Error codes",
        "",
        "Every error that landbridge reports has a code that stays the same from version to version. The message names",
        "the step, what happened and what to do next; this page says what each code means. The first digit tells how",
        "to recover. Codes of rejected records stand in the reject file, and as a number in `_errorDetails.errorCode`.",
    ]
    for digit, (title, recovery) in errors.FAMILIES.items():
        listed = {name: text for name, text in meanings().items() if name.startswith(f"LB-{digit}")}
        if listed:
            lines += ["", f"## LB-{digit}xxx: {title}", "", recovery, ""]
            lines += table(("code", "meaning"), ([code(name), prose(text)] for name, text in listed.items()))
    return finished(lines)


# -- command line ------------------------------------------------------------------------------------------------------


def command_line_page() -> str:
    """The page of all commands, their arguments and options."""
    lines = ["# Command line"]
    for words, command in commands():
        lines += ["", f"## {' '.join(words)}"] if len(words) > 1 else []
        lines += ["", prose(command.help or ""), "", "```text", usage(words, command), "```"]
        for kind in ("argument", "option"):
            rows = [option_row(command, param) for param in command.params if param.param_type_name == kind]
            if rows:
                lines += ["", *table((kind, "default", "meaning"), rows)]
    lines += ["", "Every command also has `--help`."]
    return finished(lines)


def commands() -> Iterator[tuple[list[str], Any]]:
    """Every command with the words that call it, groups before their members."""
    pending: list[tuple[list[str], Any]] = [(["landbridge"], get_command(app))]
    while pending:
        words, command = pending.pop(0)
        yield words, command
        members = getattr(command, "commands", {})
        pending = [([*words, name], member) for name, member in members.items()] + pending


def usage(words: list[str], command: Any) -> str:
    """How a command is called."""
    if getattr(command, "commands", None):
        return " ".join([*words, "[OPTIONS]", "COMMAND", "…"])
    arguments = [param.metavar or param.name.upper() for param in command.params if param.param_type_name == "argument"]
    return " ".join([*words, *arguments, "[OPTIONS]"])


def option_row(command: Any, param: Any) -> list[str]:
    """The cells of one argument or option."""
    if param.param_type_name == "argument":
        names = code(param.metavar or param.name.upper())
    else:
        value = "" if param.is_flag else " " + (param.metavar or value_name(command, param))
        names = " / ".join(code(name + value) for name in (*param.opts, *param.secondary_opts))
    if param.required:
        default = "required"
    elif param.default is None or getattr(param, "is_flag", False):
        default = ""
    else:
        default = code(str(param.default))
    told = "several times" in (param.help or "")
    text = prose(param.help or "") + (" May be given several times." if param.multiple and not told else "")
    return [names, default, text]


def value_name(command: Any, param: Any) -> str:
    """What stands for an option's value: its choices, or its type."""
    hint = get_type_hints(command.callback).get(param.name) if command.callback else None
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return "|".join(str(member.value) for member in hint)
    return "N"


# -- API ---------------------------------------------------------------------------------------------------------------


def api_page() -> str:
    """The page of all routes of the API, by what they are about."""
    lines = [
        "# Routes of the API",
        "",
        "How to call them, pages, ETags, errors and events: see [API](../guide/api.md). `GET /api/v1/openapi.json` has",
        "the shapes of all requests and replies. A role may do all that the ones before it may: viewer, operator,",
        "editor, admin.",
    ]
    by_tag: dict[str, list[list[str]]] = {}
    for path, operations in api_document()["paths"].items():
        for method, operation in operations.items():
            given = [code(each["name"]) for each in operation.get("parameters", []) if each["in"] == "query"]
            query = f" Query: {', '.join(given)}." if given else ""
            route = code(f"{method.upper()} {path.removeprefix('/api/v1') or '/'}")
            row = [route, operation.get("x-role") or "none", prose(operation["description"]) + query]
            by_tag.setdefault(operation["tags"][0], []).append(row)
    for tag, rows in sorted(by_tag.items()):
        lines += ["", f"## {tag.capitalize()}", "", *table(("/api/v1", "role", "what it does"), rows)]
    return finished(lines)


def api_document() -> dict[str, Any]:
    """The OpenAPI document of the service."""
    app = FastAPI()
    app.include_router(router())
    return document(app)


# -- Markdown ----------------------------------------------------------------------------------------------------------


def table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """A Markdown table."""
    titles = list(titles)
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    return lines + ["| " + " | ".join(" ".join(cell.split()) for cell in row) + " |" for row in rows]


def code(text: str) -> str:
    """Text in the type of code, also within a table."""
    return f"<code>{escaped(text)}</code>" if re.search(r"[|`]", text) else f"`{text}`"


def prose(text: str) -> str:
    """A docstring or description: code spans kept, everything else free of accidental markup."""
    parts = []
    at = 0
    for match in CODE_SPAN.finditer(text):
        parts += [escaped(text[at : match.start()]), code(match[2])]
        at = match.end()
    return "".join([*parts, escaped(text[at:])])


def escaped(text: str) -> str:
    """Text without characters that mean something to HTML or a Markdown table."""
    characters = {"|": "&#124;", "*": "&#42;", "_": "&#95;", "\\": "&#92;", "`": "&#96;", "[": "&#91;"}
    return "".join(characters.get(character, character) for character in html.escape(text, quote=False))


def shown(value: Any) -> str:
    """A default or example as it stands in a dataflow."""
    return json.dumps(value, ensure_ascii=False)


def on_one_line(match: re.Match[str]) -> str:
    """A list of texts without line breaks."""
    return "[" + re.sub(r",\s+", ", ", match[1]) + "]"


def anchor(heading: str) -> str:
    """The anchor of a heading that is a component id."""
    return heading.replace(".", "").lower()


def finished(lines: Iterable[str]) -> str:
    """A page's text."""
    return "\n".join(lines).rstrip() + "\n\n" + NOTE


def main() -> None:
    """Write the pages, or check them."""
    wanted = pages()
    stale = [
        name for name, text in wanted.items() if not (FOLDER / name).exists() or (FOLDER / name).read_text() != text
    ]
    gone = [path for path in FOLDER.rglob("*.md") if str(path.relative_to(FOLDER)) not in wanted]
    if sys.argv[1:] == ["--check"]:
        if stale or gone:
            raise SystemExit(f"out of date, run `make docs`: {', '.join([*stale, *(path.name for path in gone)])}")
        return
    for path in gone:
        path.unlink()
    for name in stale:
        (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / name).write_text(wanted[name], encoding="utf-8")


if __name__ == "__main__":
    main()
