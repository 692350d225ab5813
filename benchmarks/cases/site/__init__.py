"""Accounts out of the local site and into it."""

from benchmarks.case import Case, Contender, Data, Kind, Want, landbridge
from benchmarks.cases.site import server


def by_script(name: str, module: str, kind: Kind, remark: str) -> Contender:
    return Contender(
        name, kind, ("{python}", "-m", f"benchmarks.cases.site.{module}", "{input}", "{output}"), remark=remark,
        env={"BENCH_SITE": "{values}"},
    )  # fmt: skip


def ours(flow: str) -> Contender:
    return landbridge("site", flow, values="{values}")


CASES = (
    Case(
        name="extract",
        title="every account of a site by accounts.search (SELECT *, pages of 1,000), counted",
        data=Data("changes", 1_000_000, "changes.json", {"seed": 1}),
        unit="accounts",
        contenders=(
            ours("extract.json"),
            by_script("bare", "bare_search", "bare", "aiohttp on uvloop; fetches the same pages and discards them"),
        ),
        wants=(Want("bare", 0.85),),
        server=server.filled,
    ),
    Case(
        name="updates",
        title="one accounts.setAccountInfo for each of these changes, 20 at a time",
        data=Data("changes", 100_000, "changes.json", {"seed": 1}),
        unit="accounts",
        contenders=(
            ours("updates.json"),
            by_script("bare", "bare_updates", "bare", "aiohttp on uvloop; bodies made before the time is taken"),
        ),
        wants=(Want("bare", 0.7),),
        server=server.filled,
    ),
)
