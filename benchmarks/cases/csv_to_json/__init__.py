"""Compressed CSV to JSON lines."""

from benchmarks.case import Case, Data, Want, dlt, landbridge, script, singer, sling

CASES = (
    Case(
        name="csv_to_json",
        title="CSV.gz with 15 columns to JSON lines",
        data=Data("table", 1_000_000, "table.csv.gz", {"seed": 2}),
        contenders=(
            landbridge("csv_to_json"),
            script("csv_to_json", "bare", "bare", remark="igzip, pyarrow; columns known in advance"),
            script("csv_to_json", "stdlib", "stdlib", remark="gzip, csv, json"),
            dlt("csv_to_json", remark="own names of columns, two columns of its own; guesses types", compressed=False),
            sling("--tgt-object", "file://{output}/table.jsonl", remark="own names of columns; guesses types"),
            singer(
                "csv_to_json", "tap-csv", "tap-csv-folder", data=Data("table", 1_000_000, "table.csv", {"seed": 2}),
                remark="tap-csv-folder, target-jsonl; input not compressed; three columns of its own",
            ),
        ),
        wants=(Want("bare", 0.7),),
    ),
)  # fmt: skip
