"""Who may import whom, and how long a module may be."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "landbridge"
MODULES = sorted(SOURCE.rglob("*.py"))
MAX_LINES = 500

ALLOWED = {
    "errors": set(),
    "records": {"errors"},
    "dataflow": {"records", "errors"},
    "search": {"records", "errors"},
    "remote": {"records", "errors"},
    "components": {"records", "dataflow", "remote", "errors"},
    "engine": {"records", "dataflow", "components", "remote.publish", "errors"},
    "jobs": {"engine", "dataflow", "components", "records", "remote", "errors"},
    "gigya_wire": {"errors"},
    "server": {"jobs", "search", "engine", "dataflow", "components", "gigya_wire", "templates", "errors"},
    "templates": {"dataflow", "errors"},
    "emulation": {"errors"},
    "site": {"records", "search", "gigya_wire", "emulation", "errors"},
    "sandbox": {"records", "search", "emulation", "errors"},
}
"""For each package of ours the packages it may import besides itself; ``cli`` may import all."""

ENGINE_SEES = {"components.base", "components.registry", "components.catalogue", "components.params"}
NETWORK = {
    "aioftp",
    "aiohttp",
    "aiosmtplib",
    "asyncssh",
    "ftplib",
    "httpx",
    "obstore",
    "requests",
    "smtplib",
    "socket",
    "urllib3",
}
MAY_USE_NETWORK = {"remote", "server", "emulation", "site", "sandbox"}
SQL = {"sqlite3", "sqlalchemy", "psycopg", "alembic"}


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def package_of(path):
    return path.relative_to(SOURCE).with_suffix("").parts[0]


def own(name):
    return name.removeprefix("landbridge.") if name.startswith("landbridge.") else None


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_imports_only_what_its_package_may(path):
    package = package_of(path)
    if package in ("cli", "__init__", "__main__"):
        return
    assert package in ALLOWED, f'the package "{package}" has no import rule yet'
    allowed = ALLOWED[package] | {package}
    for name in filter(None, map(own, imports_of(path))):
        assert name.startswith("_") or any(name == rule or name.startswith(rule + ".") for rule in allowed), (
            f"{package} must not import landbridge.{name}"
        )


@pytest.mark.parametrize("path", sorted((SOURCE / "engine").glob("*.py")), ids=lambda path: path.name)
def test_the_engine_knows_components_only_through_their_base(path):
    seen = {name for name in map(own, imports_of(path)) if name and name.startswith("components.")}
    assert all(any(name == rule or name.startswith(rule + ".") for rule in ENGINE_SEES) for name in seen)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_the_packages_with_a_door_to_the_outside_import_network_libraries(path):
    used = {name.partition(".")[0] for name in imports_of(path)} & NETWORK
    if path.relative_to(SOURCE) == Path("remote/publish.py"):
        used -= {"socket"}  # the name of this machine
    assert not used or package_of(path) in MAY_USE_NETWORK, f"imports {used}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_sql_stays_in_the_stores(path):
    used = {name.partition(".")[0] for name in imports_of(path)} & SQL
    relative = path.relative_to(SOURCE)
    allowed = (
        (relative.parts[0] == "jobs" and relative.name.startswith("db"))
        or relative.is_relative_to("jobs/migrations")
        or (relative.parts[0] == "site" and relative.name.startswith("store"))
    )
    assert not used or allowed, f"imports {used}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_holds_one_idea(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES, f"{lines} lines are two ideas"
