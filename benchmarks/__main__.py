"""``python -m benchmarks``: run the cases, write the results, print the tables."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from benchmarks import table
from benchmarks.case import FOLDER, PROJECT, Case
from benchmarks.equality import Different
from benchmarks.machine import describe
from benchmarks.measure import RunFailed
from benchmarks.rounds import DATA, Result, compare, rounds

PACKAGES = ("accounts_to_dsv", "csv_to_csv", "csv_to_json", "scripts", "site", "upload", "flat_memory")
RESULTS = FOLDER / "results"
PAGE = PROJECT / "docs" / "benchmarks.md"
_BEGIN, _END = "<!-- results: begin -->", "<!-- results: end -->"


def main() -> int:
    """Run what the command line asks for; 1 when an output is wrong or Landbridge fails."""
    cases = [case for name in PACKAGES for case in import_module(f"benchmarks.cases.{name}").CASES]
    options = _options(cases)
    DATA.mkdir(exist_ok=True)
    RESULTS.mkdir(exist_ok=True)
    measured: list[tuple[Case, list[Result]]] = []
    failed = False
    for case in cases:
        if not _chosen(case, options):
            continue
        contenders = [
            contender
            for contender in case.contenders
            if (not options.only or contender.name in options.only)
            and not (options.no_peers and contender.kind == "peer")
        ]
        _say(f"{case.name}: {case.title}")
        try:
            compare(case, contenders, _say)
        except (Different, RunFailed) as problem:
            _say(f"  not timed, because the outputs are not right: {problem}")
            failed = True
            continue
        results = rounds(
            case,
            contenders,
            number=options.rounds,
            peer_rounds=options.peer_rounds or options.rounds,
            scale=options.scale,
            peer_scale=options.peer_scale,
            say=_say,
        )
        failed |= any(result.problem and result.contender.kind == "landbridge" for result in results)
        measured.append((case, results))
        _write(measured, options)
    if measured:
        print(_write(measured, options))
    return int(failed)


def _options(cases: list[Case]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [case.name for case in cases]
    parser.add_argument("--case", action="append", choices=names, help="run this case only; may be given again")
    parser.add_argument("--only", action="append", metavar="CONTENDER", help="this contender only; may be given again")
    parser.add_argument("--no-peers", action="store_true", help="leave other tools out")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each contender (5)")
    parser.add_argument("--peer-rounds", type=int, help="runs of each other tool, where fewer are enough")
    parser.add_argument("--peer-scale", type=float, default=1.0, help="part of that for other tools (1)")
    parser.add_argument("--scale", type=float, default=1.0, help="part of the data to use (1)")
    parser.add_argument("--full", action="store_true", help="also the cases that need much time and disk")
    parser.add_argument("--publish", action="store_true", help=f"put the tables into {PAGE.relative_to(PROJECT)}")
    return parser.parse_args(namespace=argparse.Namespace(began=datetime.now(UTC)))


def _chosen(case: Case, options: argparse.Namespace) -> bool:
    if options.case:
        return case.name in options.case
    return options.full or not case.only_full


def _write(measured: list[tuple[Case, list[Result]]], options: argparse.Namespace) -> str:
    """Write the results so far; the tables."""
    machine = describe()
    settings = f"{options.rounds} interleaved rounds, scale {options.scale:g}"
    when = f"{options.began:%Y-%m-%d}"
    tables = table.document(machine, measured, when=when, settings=settings)
    facts = {
        "measured": options.began.isoformat(timespec="seconds"),
        "rounds": options.rounds,
        "scale": options.scale,
        "machine": machine,
        "cases": [
            {"name": case.name, "contenders": [result.as_json() for result in results]} for case, results in measured
        ],
    }
    text = json.dumps(facts, indent=1, ensure_ascii=False) + "\n"
    for name in (f"{options.began:%Y%m%d-%H%M%S}", "latest"):
        (RESULTS / f"{name}.json").write_text(text)
        (RESULTS / f"{name}.md").write_text(tables)
    if options.publish:
        _publish(PAGE, tables)
    return tables


def _publish(page: Path, tables: str) -> None:
    before, _, rest = page.read_text().partition(_BEGIN)
    after = rest.partition(_END)[2]
    page.write_text(f"{before}{_BEGIN}\n\n{tables}\n{_END}{after}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
