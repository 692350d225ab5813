"""CSV.gz to JSON lines by igzip and pyarrow alone, wired by hand for this one task.

It knows the columns in advance and takes for granted that every line is good and holds no rare control codes.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from isal import igzip_threaded

from benchmarks.generate import CSV_COLUMNS
from benchmarks.pipeline import ahead, timed

ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


@cache
def text(value: str) -> pa.Scalar:
    """A scalar made once: ``pa.scalar`` looks for an optional module each time, which takes longer than a join."""
    return pa.array([value], pa.string())[0]


def read(source: Path) -> Iterator[pa.RecordBatch]:
    for path in sorted(source.iterdir()):
        with igzip_threaded.open(path, "rb", threads=1, block_size=1 << 20) as file:  # type: ignore[no-untyped-call]
            yield from pyarrow.csv.open_csv(
                file,
                read_options=pyarrow.csv.ReadOptions(block_size=4 << 20),
                parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(CSV_COLUMNS, pa.string()),
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                    null_values=[""],
                ),
            )


def escaped(column: pa.Array) -> pa.Array:
    data = column.buffers()[2]
    present = data.to_pybytes() if data else b""
    for raw, written in ESCAPES.items():
        if raw.encode() in present:
            column = pc.replace_substring(column, raw, written)
    return column


def lines(batch: pa.RecordBatch) -> memoryview:
    parts: list[pa.Array | pa.Scalar] = []
    for number, (name, column) in enumerate(zip(CSV_COLUMNS, batch.columns, strict=True)):
        label = text(f'{"," if number else "{"}"{name}":"')
        value = escaped(column)
        if value.null_count:
            parts.append(pc.binary_join_element_wise(label, value, text('"'), text("")))
        else:
            parts += [label, value, text('"')]
    joined = pc.binary_join_element_wise(*parts, text("}\n"), text(""), null_handling="replace", null_replacement="")
    _, offsets, data = joined.buffers()
    return memoryview(data)[: memoryview(offsets).cast("i")[len(joined)]]


def work(source: Path, target: Path) -> None:
    with (target / "table.jsonl").open("wb", buffering=0) as output:
        for block in ahead(map(lines, ahead(read(source)))):
            output.write(block)


if __name__ == "__main__":
    timed(work)
