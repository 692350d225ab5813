"""CSV to compressed CSV."""

from benchmarks.case import Case, Data, Want, dlt, landbridge, script, singer, sling

CASES = (
    Case(
        name="csv_to_csv",
        title="CSV with 15 columns, rename 5, replace in 2, select 12, to CSV.gz",
        data=Data("table", 1_000_000, "table.csv", {"seed": 2}),
        contenders=(
            landbridge("csv_to_csv"),
            script("csv_to_csv", "bare", "bare", remark="pyarrow, igzip; columns known in advance; quotes every text"),
            script("csv_to_csv", "stdlib", "stdlib", remark="csv, re, gzip at level 1"),
            dlt("csv_to_csv", remark="own names of columns"),
            sling(
                "--select", "CUSTOMER_ID,EMAIL,FIRST_NAME,LAST_NAME,OPT_IN,COUNTRY,CITY,ZIP,STREET,PHONE,SCORE,COMMENT",
                "--tgt-object", "file://{output}/table.csv.gz",
                remark="no rename, no replace; guesses types",
            ),
            singer(
                "csv_to_csv", "tap-csv", "tap-csv-folder",
                remark="tap-csv-folder, target-jsonl; JSON lines instead of CSV, not compressed",
            ),
        ),
        wants=(Want("bare", 0.7),),
    ),
)  # fmt: skip
