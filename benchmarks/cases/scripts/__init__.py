"""A script called for every record."""

from benchmarks.case import Case, Data, Want, landbridge, script

CASES = (
    Case(
        name="scripts",
        title="accounts as JSON lines through a script that filters and changes them, to JSON lines",
        data=Data("accounts", 300_000, "accounts.json", {"seed": 1}),
        contenders=(
            landbridge("scripts"),
            script("scripts", "bare", "bare", remark="one V8 isolate in the same process, fed by hand; one core"),
        ),
        wants=(Want("bare", 0.8),),
    ),
)
