"""Documentation that is missing or untrue is a failing test."""

import ast
import gzip
import importlib.util
import json
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from landbridge import errors
from landbridge.components.catalogue import InstalledComponents
from landbridge.components.reference import parameters_of
from landbridge.dataflow import problems
from landbridge.dataflow.problems import errors_of
from landbridge.engine.lint import lint_file
from landbridge.records import Batch
from tests.steps import services

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "landbridge"
DOCS = ROOT / "docs"
TOP_PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES = [*TOP_PAGES, *sorted(path for path in DOCS.rglob("*.md") if DOCS / "reference" not in path.parents)]
CODE = re.compile(r"LB-\d{4}")


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


reference = load(ROOT / "scripts" / "docs_reference.py")
COMPONENTS = reference.components()


def name_of(path):
    return str(path.relative_to(ROOT))


def fenced(page, language):
    """The text of the fenced blocks of a page, however they are indented."""
    fence = re.compile(rf"^( *)```{language}\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
    blocks = fence.findall(page.read_text(encoding="utf-8"))
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in blocks]


# -- the reference -----------------------------------------------------------------------------------------------------


def test_the_reference_pages_say_what_the_code_says():
    written = {str(path.relative_to(reference.FOLDER)): path.read_text() for path in reference.FOLDER.rglob("*.md")}
    wanted = reference.pages()
    stale = sorted(name for name in {*written, *wanted} if written.get(name) != wanted.get(name))
    assert not stale, f"these pages in docs/reference are out of date, run `make docs`: {stale}"


@pytest.mark.parametrize("cls", COMPONENTS, ids=lambda cls: cls.spec.id)
def test_a_component_has_a_reference_entry_with_every_parameter(cls):
    page = reference.FOLDER / "components" / f"{reference.family_of(cls.spec.id)[0]}.md"
    section = re.search(rf"^## {re.escape(cls.spec.id)}\n(.*?)(?=^## |\Z)", page.read_text(), re.DOTALL | re.MULTILINE)
    assert section, f"{page.name} has no section ## {cls.spec.id}, run `make docs`"
    for row in parameters_of(cls):
        assert f"| `{row.name}` |" in section[1], f"{page.name} lacks the parameter {row.name} of {cls.spec.id}"


@pytest.mark.parametrize("cls", COMPONENTS, ids=lambda cls: cls.spec.id)
def test_a_component_and_its_parameters_are_described(cls):
    assert cls.spec.title, "give @component a title"
    assert cls.__doc__, "give the class a docstring"
    for row in parameters_of(cls):
        assert row.text.removesuffix(" Secret.").strip(), f"give the parameter {row.name} a description"


@pytest.mark.parametrize("cls", COMPONENTS, ids=lambda cls: cls.spec.id)
def test_the_example_of_a_component_is_valid(cls):
    step = reference.example_step(cls)
    missing = [key for key, value in step.get("params", {}).items() if value is None]
    assert not missing, f"give the required parameters {missing} an example"
    cls.Params.model_validate(step.get("params", {}))


def test_every_command_and_option_is_in_the_reference():
    page = (reference.FOLDER / "command-line.md").read_text()
    for words, command in reference.commands():
        assert len(words) == 1 or f"## {' '.join(words)}\n" in page
        assert command.help, f"{' '.join(words)} has no help text"
        for param in command.params:
            name = param.opts[0] if param.param_type_name == "option" else param.metavar or param.name.upper()
            assert name.replace("[", "&#91;") in page or name in page, f"{' '.join(words)}: {name} is missing"
            assert param.help, f"{' '.join(words)}: {name} has no help text"


# -- error codes -------------------------------------------------------------------------------------------------------


@cache
def sources():
    """Every module of ours as a tree."""
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(SOURCE.rglob("*.py"))}


@cache
def literals():
    """Every code that stands as a text of its own in the source, with the modules it stands in; the tables excepted."""
    found = {}
    for path, tree in sources().items():
        table = {id(node) for name in ("CODES", "FAMILIES", "_BY_CODE") for node in nodes_of_table(tree, name)}
        for node in ast.walk(tree):
            text = node.value if isinstance(node, ast.Constant) and id(node) not in table else None
            if isinstance(text, str) and CODE.fullmatch(text):
                found.setdefault(text, set()).add(path)
    return found


def nodes_of_table(tree, name):
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
            yield from ast.walk(node)


def unused_constants():
    """Codes that dataflow/problems.py names and nobody uses."""
    tree = ast.parse((SOURCE / "dataflow" / "problems.py").read_text())
    names = {
        node.target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Constant)
    }
    used = set()
    for tree in sources().values():
        table = {id(node) for node in nodes_of_table(tree, "CODES")}
        for node in ast.walk(tree):
            if id(node) in table:
                continue
            if isinstance(node, ast.Attribute):
                used.add(node.attr)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                used.add(node.id)
    return {code for name, code in names.items() if CODE.fullmatch(str(code)) and name not in used}


def test_every_error_code_of_the_source_has_a_meaning():
    mentioned = {
        code: name_of(path)
        for path in sorted(SOURCE.rglob("*.py"))
        for code in CODE.findall(path.read_text(encoding="utf-8"))
    }
    missing = {code: where for code, where in sorted(mentioned.items()) if code not in reference.meanings()}
    assert not missing, f"add these codes to CODES in src/landbridge/errors.py, then run `make docs`: {missing}"


def test_every_error_code_with_a_meaning_is_used():
    unused = sorted((reference.meanings().keys() - literals().keys()) | unused_constants())
    assert not unused, f"no code in src/landbridge raises these codes; remove them from CODES: {unused}"


def area_of(path):
    """A component of a store or vendor and its client are one area: they report the same things."""
    package, inner = path.relative_to(SOURCE).parts[:2]
    return "remote" if (package, inner) == ("components", "datasource") else package


def test_no_error_code_has_two_meanings():
    assert not errors.CODES.keys() & problems.CODES.keys(), "these codes stand in two tables"
    for code, paths in literals().items():
        packages = {area_of(path) for path in paths}
        if code != problems.UNKNOWN_COMPONENT:  # met by the language and by the registry
            assert len(packages) == 1, f"{code} is used for different things in {sorted(map(name_of, paths))}"


def test_every_error_code_belongs_to_a_family():
    assert {code[3] for code in reference.meanings()} <= errors.FAMILIES.keys()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_names_only_error_codes_that_exist(page):
    unknown = set(CODE.findall(page.read_text(encoding="utf-8"))) - reference.meanings().keys()
    assert not unknown


# -- the README --------------------------------------------------------------------------------------------------------


def states():
    """The state of every component in the README's table: works or planned."""
    rows = re.findall(r"^\|[^|]*\|((?: `[\w.]+`)+) \| (works|planned)", (ROOT / "README.md").read_text(), re.MULTILINE)
    return {component: state for ids, state in rows for component in re.findall(r"`([\w.]+)`", ids)}


def test_the_readme_tells_which_components_work():
    there = {cls.spec.id for cls in COMPONENTS}
    works = {component for component, state in states().items() if state == "works"}
    assert not there - works, f"the README's table of components must say that these work: {sorted(there - works)}"
    assert not works - there, f"the README says that these work, but they do not exist: {sorted(works - there)}"


def test_the_example_of_the_readme_gives_what_is_shown(tmp_path):
    command = [sys.executable, "-m", "landbridge", "run", "docs/examples/newsletter.json", "--quiet"]
    done = subprocess.run(
        [*command, "--set", f"target={tmp_path}", "--rejects", str(tmp_path / "rejects.jsonl")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    (file,) = tmp_path.glob("newsletter_*.csv.gz")
    content = gzip.decompress(file.read_bytes()).decode()
    assert (tmp_path / "newsletter.ready").exists()
    for page in (ROOT / "README.md", DOCS / "guide" / "getting-started.md"):
        assert any(content in block for block in fenced(page, "console")), f"{page.name} shows another file"


# -- commands, dataflows and code in the pages -------------------------------------------------------------------------


def shown_commands():
    found = []
    for page in PAGES:
        lines = re.findall(r"^\$ (.+)$", "".join(fenced(page, "console")), re.MULTILINE)
        found += [pytest.param(line, id=f"{name_of(page)}: {line}") for line in lines]
    return found


@pytest.mark.parametrize("line", shown_commands())
def test_a_command_that_a_page_shows_exists(line):
    words = shlex.split(line)
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert set(words[1:]) <= set(targets)
    elif words[0].rpartition("/")[2] == "landbridge":
        known = {" ".join(names[1:]): command for names, command in reference.commands()}
        command = known.get(" ".join(words[1:3])) or known.get(words[1])
        assert command, "there is no such command"
        options = {option for param in command.params for option in param.opts}
        assert {word for word in words if word.startswith("-")} <= options


def shown_dataflows():
    found = []
    for page in [*PAGES, *sorted(reference.FOLDER.rglob("*.md"))]:
        for number, block in enumerate(fenced(page, "json")):
            found.append(pytest.param(block, id=f"{name_of(page)} {number}"))
    return found


@pytest.mark.parametrize("block", shown_dataflows())
def test_json_that_a_page_shows_is_valid_and_dataflows_lint(block, tmp_path):
    shown = [json.loads(line) for line in block.splitlines()] if block.startswith('{"') else [json.loads(block)]
    for document in shown:
        if isinstance(document, dict) and isinstance(document.get("steps"), list):
            path = tmp_path / "flow.json"
            path.write_text(json.dumps(document))
            assert errors_of(lint_file(path, InstalledComponents())) == []


@pytest.mark.parametrize("path", sorted((DOCS / "examples").glob("*.json")), ids=lambda path: path.name)
def test_an_example_lints(path):
    assert errors_of(lint_file(path, InstalledComponents())) == []


def test_the_example_of_a_component_of_your_own_works():
    page = DOCS / "guide" / "add-a-component.md"
    namespace = {}
    blocks = fenced(page, "python")
    (component,) = (block for block in blocks if "@component(" in block)
    (test,) = (block for block in blocks if "def test_" in block)
    exec(compile(component, name_of(page), "exec"), namespace)

    def make(component_id, params):
        cls = namespace["Upper"]
        assert cls.spec.id == component_id
        return cls(cls.Params.model_validate(params), services())

    namespace.update(make=make, Batch=Batch)
    exec(compile(test, name_of(page), "exec"), namespace)
    namespace["test_texts_are_written_in_capitals"]()


def test_the_base_classes_in_the_guide_are_those_there_are():
    page = (DOCS / "guide" / "add-a-component.md").read_text()
    named = set(re.findall(r"^\| `(\w+)` \| .* \| .*`.*\|$", page, re.MULTILINE))
    assert named == {"RecordReader", "FileReader", "Parser", "Transform", "Formatter", "FileTransform"} | {
        "FileWriter",
        "RecordWriter",
    }
    base = importlib.import_module("landbridge.components.base")
    assert all(hasattr(base, name) for name in named)


@pytest.mark.parametrize("page", TOP_PAGES, ids=name_of)
def test_the_links_of_a_page_outside_of_the_site_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing
