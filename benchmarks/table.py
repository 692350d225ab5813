# ruff: noqa: RUF001 - the table shows signs that letters and ASCII have no place for
"""The results as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from benchmarks.case import Case
from benchmarks.rounds import Result

_HEADS = (
    "contender", "runs", "time (min to max)", "of it work", "processor", "{unit}/s", "× landbridge", "× bare",
    "peak memory", "output", "others", "remarks",
)  # fmt: skip


def document(
    machine: dict[str, str], measured: Sequence[tuple[Case, list[Result]]], *, when: str, settings: str
) -> str:
    """All tables, with the machine they were measured on."""
    facts = " · ".join(f"{name} {value}" for name, value in machine.items())
    tables = "\n".join(_case(case, results) for case, results in measured)
    return f"Measured {when}, {settings}. Machine: {facts}.\n\n{tables}"


def _case(case: Case, results: list[Result]) -> str:
    first = results[0]
    lines = [
        f"### {case.name}: {case.title}",
        "",
        f"Input: {first.input_count:,} {case.unit}, {first.input_bytes / 1e6:,.0f} MB.",
        "",
        f"| {' | '.join(_HEADS).format(unit=case.unit)} |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|",
    ]
    lines += [_row(result, results, case.unit) for result in results]
    verdicts = _verdicts(case, results)
    return "\n".join([*lines, "", *verdicts, ""])


def _row(result: Result, results: list[Result], unit: str) -> str:
    contender = result.contender
    name = f"**{contender.name}**" if contender.kind == "landbridge" else contender.name
    if result.version:
        name += f" ({result.version})"
    if not result.runs:
        return f"| {name} | 0 | – | – | – | – | – | – | – | – | – | {_in_a_line(result.problem)} |"
    totals = [run.total_s for run in result.runs]
    works = [run.work_s for run in result.runs if run.work_s is not None]
    total = median(totals)
    fewer = f"{result.input_count:,} {unit}" if result.input_count != results[0].input_count else ""
    cells = [
        name,
        str(len(totals)),
        f"{total:.2f} s ({min(totals):.2f} to {max(totals):.2f})",
        f"{median(works):.2f} s" if works else "–",
        f"{median(run.cpu_s for run in result.runs):.2f} s",
        f"{result.input_count / total:,.0f}",
        _ratio(_rate(result), _of_kind(results, "landbridge")),
        _ratio(_rate(result), _of_kind(results, "bare")),
        f"{max(run.peak_mb for run in result.runs):.0f} MB",
        f"{median(run.output_bytes for run in result.runs) / 1e6:,.1f} MB",
        f"{median(run.others_share for run in result.runs):.0%}",
        _in_a_line("; ".join(filter(None, (contender.remark, fewer, result.problem)))),
    ]
    return f"| {' | '.join(cells)} |"


def _of_kind(results: list[Result], kind: str) -> float | None:
    """Rate of the first contender of a kind."""
    return next((_rate(result) for result in results if result.contender.kind == kind and result.runs), None)


def _rate(result: Result) -> float:
    """Records (or MiB) a second, the whole run counted."""
    return result.input_count / median(run.total_s for run in result.runs)


def _ratio(rate: float, reference: float | None) -> str:
    """How many times as fast as the reference."""
    return f"{rate / reference:.2f}" if reference else "–"


def _verdicts(case: Case, results: list[Result]) -> list[str]:
    """What was wanted, and whether it is so."""
    by_name = {result.contender.name: result for result in results if result.runs}
    ours = [result for result in results if result.contender.kind == "landbridge" and result.runs]
    if not ours:
        return []
    rate = _rate(ours[0])
    lines = []
    for want in case.wants:
        if want.against in by_name:
            other = by_name[want.against]
            ratio = rate / _rate(other)
            alone = _of_work(ours[0], other)
            text = f"{want.ratio:g} × {want.against} wanted, {ratio:.2f} reached{alone}"
            lines.append(_verdict(ratio >= want.ratio, text))
    for result in results:
        if result.contender.kind == "peer" and result.runs:
            ratio = rate / _rate(result)
            lines.append(_verdict(ratio > 1, f"ahead of {result.contender.name} wanted, {ratio:.1f} × reached"))
    peaks = [max(run.peak_mb for run in result.runs) for result in ours]
    text = f"peak below {case.max_peak_mb:.0f} MB wanted, {max(peaks):.0f} MB reached"
    lines.append(_verdict(max(peaks) < case.max_peak_mb, text))
    if len(peaks) > 1:
        growth = max(peaks) / min(peaks)
        lines.append(_verdict(growth <= 1.15, f"peaks within 15 % of each other wanted, {growth - 1:.0%} reached"))
    return lines


def _of_work(ours: Result, other: Result) -> str:
    """The ratio of the work alone, without the start of the programs, where both tell it."""
    times = [[run.work_s for run in result.runs if run.work_s is not None] for result in (ours, other)]
    return f" ({median(times[1]) / median(times[0]):.2f} of the work alone)" if all(times) else ""


def _verdict(reached: bool, text: str) -> str:
    return f"- {'yes' if reached else '**no**'}: {text}"


def _in_a_line(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())[-300:]
