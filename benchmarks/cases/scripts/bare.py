"""A script on every record by mini-racer alone: JSON in, JSON out, one call for each piece of 256 kB.

It takes for granted that the script ends, keeps within its memory and never fails.
"""

from collections.abc import Iterator
from pathlib import Path

from py_mini_racer import MiniRacer

from benchmarks.pipeline import ahead, timed

PIECE_BYTES = 256 << 10
SCRIPT = Path(__file__).with_name("change.js").read_text()
CALL = """(text) => {
  const made = JSON.parse(text).map((record) => process(record)).filter((record) => record !== null);
  return made.map((record) => JSON.stringify(record) + '\\n').join('');
}"""


def pieces(source: Path) -> Iterator[str]:
    for path in sorted(source.iterdir()):
        with path.open("rb") as file:
            while lines := file.readlines(PIECE_BYTES):
                yield f"[{','.join(line.decode() for line in lines)}]"


def work(source: Path, target: Path) -> None:
    with MiniRacer() as engine, (target / "accounts.json").open("w", encoding="utf-8") as output:
        engine.eval(SCRIPT)
        call = engine.eval(CALL)
        for text in ahead(pieces(source)):
            output.write(call(text))


if __name__ == "__main__":
    timed(work)
