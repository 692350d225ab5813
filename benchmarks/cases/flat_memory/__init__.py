"""Memory of Landbridge with one and with ten million records: it must not depend on the size of the input."""

from dataclasses import replace

from benchmarks.case import Case, Contender, landbridge
from benchmarks.cases.accounts_to_dsv import DATA


def at(times: int) -> Contender:
    ours = landbridge("accounts_to_dsv")
    return replace(ours, name=f"landbridge-{times}x", data=replace(DATA, repeat=times), same_output=False)


CASES = (
    Case(
        name="flat_memory",
        title="accounts_to_dsv with 1 and 10 million records",
        data=DATA,
        contenders=(at(1), at(10)),
        only_full=True,
    ),
)
