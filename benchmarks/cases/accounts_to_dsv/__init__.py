"""Nested accounts as JSON lines to a compressed DSV file: the daily export of an identity site."""

from benchmarks.case import Case, Data, Want, dlt, landbridge, script, singer, sling

DATA = Data("accounts", 1_000_000, "accounts.json", {"seed": 1})

CASES = (
    Case(
        name="accounts_to_dsv",
        title="JSON lines, rename 12 fields, remove 6, replace in 2, to DSV.gz",
        data=DATA,
        contenders=(
            landbridge("accounts_to_dsv"),
            script("accounts_to_dsv", "bare", "bare", remark="msgspec, pyarrow, igzip; all known in advance"),
            script("accounts_to_dsv", "stdlib", "stdlib", remark="json, re, gzip at level 1"),
            dlt("accounts_to_dsv", remark="own names, two columns of its own; several files; not all quoted"),
            sling(
                "--src-options", '{{"flatten": true, "format": "jsonlines"}}',
                "--select", "UID,created,createdTimestamp,lastUpdated,isActive,isVerified,loginProvider,profile__email,"
                "profile__firstName,profile__lastName,profile__gender,profile__birthYear,profile__country,"
                "profile__address,profile__bio,profile__phones,data__score,data__memberCode,"
                "subscriptions__weekly__email__isSubscribed",
                "--tgt-object", "file://{output}/accounts.csv.gz",
                remark="no rename, no replace, not all values quoted",
            ),
            singer(
                "accounts_to_dsv", "tap", "tap-jsonl",
                remark="tap-jsonl, target-jsonl; JSON lines instead of DSV, not compressed",
            ),
        ),
        wants=(Want("bare", 0.7), Want("stdlib", 5)),
    ),
)  # fmt: skip
