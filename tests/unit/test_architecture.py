"""Who may import whom, and how long a module may be."""

import ast
from functools import cache
from pathlib import Path

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


@cache
def imports_of(path):
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def used_by(path, libraries):
    return {name.partition(".")[0] for name in imports_of(path)} & libraries


def package_of(path):
    return path.relative_to(SOURCE).with_suffix("").parts[0]


def own(path):
    """What a module imports of ours, without ``landbridge.``"""
    return {name.removeprefix("landbridge.") for name in imports_of(path) if name.startswith("landbridge.")}


def is_of(name, rules):
    return any(name == rule or name.startswith(rule + ".") for rule in rules)


def test_a_module_imports_only_what_its_package_may():
    wrong = {}
    for path in MODULES:
        package = package_of(path)
        if package in ("cli", "__init__", "__main__"):
            continue
        assert package in ALLOWED, f'the package "{package}" has no import rule yet'
        allowed = ALLOWED[package] | {package}
        if seen := {name for name in own(path) if not name.startswith("_") and not is_of(name, allowed)}:
            wrong[str(path.relative_to(SOURCE))] = sorted(seen)
    assert not wrong


def test_the_engine_knows_components_only_through_their_base():
    for path in (SOURCE / "engine").glob("*.py"):
        seen = {name for name in own(path) if name.startswith("components.") and not is_of(name, ENGINE_SEES)}
        assert not seen, path.name


def test_only_the_packages_with_a_door_to_the_outside_import_network_libraries():
    used = {path.relative_to(SOURCE): used_by(path, NETWORK) for path in MODULES}
    used[Path("remote/publish.py")] -= {"socket"}  # the name of this machine
    assert not {str(path): names for path, names in used.items() if names and path.parts[0] not in MAY_USE_NETWORK}


def test_sql_stays_in_the_stores():
    def allowed(relative):
        return (
            (relative.parts[0] == "jobs" and relative.name.startswith("db"))
            or relative.is_relative_to("jobs/migrations")
            or (relative.parts[0] == "site" and relative.name.startswith("store"))
        )

    used = {path.relative_to(SOURCE): used_by(path, SQL) for path in MODULES}
    assert not {str(path): names for path, names in used.items() if names and not allowed(path)}


def test_a_module_holds_one_idea():
    lines = {str(path.relative_to(SOURCE)): path.read_text(encoding="utf-8").count("\n") for path in MODULES}
    assert not {path: count for path, count in lines.items() if count > MAX_LINES}, "these are two ideas"
