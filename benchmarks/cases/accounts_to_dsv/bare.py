"""Accounts to DSV by msgspec, pyarrow and igzip alone, wired by hand for this one task.

It knows in advance what an engine has to find out: which fields there are, their types, the columns of the file, and
that nothing goes wrong. It reads just the fields that are needed, checks nothing, and counts nothing.
"""

from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from isal import isal_zlib

from benchmarks.pipeline import ahead, chunks, timed

BLOCK_BYTES = 4 << 20


class Profile(msgspec.Struct, rename="camel", gc=False, frozen=True):
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    gender: str | None = None
    birth_year: int | None = None
    country: str | None = None
    address: str | None = None
    bio: str | None = None
    phones: msgspec.Raw = msgspec.Raw()


class Data(msgspec.Struct, rename="camel", gc=False, frozen=True):
    score: float | None = None
    member_code: int | str | None = None


class Email(msgspec.Struct, rename="camel", gc=False, frozen=True):
    is_subscribed: bool | None = None


class Weekly(msgspec.Struct, rename="camel", gc=False, frozen=True):
    email: Email = Email()


class Subscriptions(msgspec.Struct, rename="camel", gc=False, frozen=True):
    weekly: Weekly = Weekly()


class Account(msgspec.Struct, rename="camel", gc=False, frozen=True):
    UID: str
    created: str
    created_timestamp: int
    last_updated: str
    is_active: bool
    is_verified: bool
    login_provider: str
    profile: Profile
    data: Data
    subscriptions: Subscriptions = Subscriptions()


ROOT = {
    "UID": pa.string(), "created": pa.string(), "created_timestamp": pa.int64(), "last_updated": pa.string(),
    "is_active": pa.bool_(), "is_verified": pa.bool_(), "login_provider": pa.string(),
}  # fmt: skip
PROFILE = {
    "email": pa.string(), "first_name": pa.string(), "last_name": pa.string(), "gender": pa.string(),
    "birth_year": pa.int64(), "country": pa.string(), "address": pa.string(), "bio": pa.string(),
}  # fmt: skip
NAMES = (
    "UID", "created", "createdTimestamp", "lastUpdated", "isActive", "isVerified", "loginProvider", "EMAIL",
    "FIRST_NAME", "LAST_NAME", "GENDER", "BIRTH_YEAR", "COUNTRY", "ADDRESS", "BIO", "PHONES", "SCORE", "MEMBER_CODE",
    "OPT_IN",
)  # fmt: skip
DECODER = msgspec.json.Decoder(Account)
LINES = pyarrow.csv.WriteOptions(include_header=False, quoting_style="all_valid", batch_size=1 << 14)


def blocks(source: Path) -> Iterator[bytes]:
    for path in sorted(source.iterdir()):
        rest = b""
        for chunk in chunks(path, BLOCK_BYTES):
            end = chunk.rfind(b"\n") + 1
            yield rest + chunk[:end]
            rest = chunk[end:]
        if rest:
            yield rest


def columns(text: bytes) -> list[pa.Array]:
    rows = DECODER.decode_lines(text)
    found = [pa.array(list(map(attrgetter(name), rows)), kind) for name, kind in ROOT.items()]
    profiles = list(map(attrgetter("profile"), rows))
    found += [pa.array(list(map(attrgetter(name), profiles)), kind) for name, kind in PROFILE.items()]
    phones = pa.array(list(map(bytes, map(attrgetter("phones"), profiles))), pa.binary()).cast(pa.string())
    found.append(pc.if_else(pc.equal(phones, ""), None, phones))
    data = list(map(attrgetter("data"), rows))
    found.append(pa.array(list(map(attrgetter("score"), data)), pa.float64()))
    found.append(pa.array([str(code) for code in map(attrgetter("member_code"), data)], pa.string()))
    found.append(pa.array(list(map(attrgetter("subscriptions.weekly.email.is_subscribed"), rows)), pa.bool_()))
    return found


def lines(found: list[pa.Array]) -> pa.Buffer:
    at = NAMES.index
    found[at("ADDRESS")] = pc.replace_substring_regex(found[at("ADDRESS")], r"[\r\n]+", ", ")
    found[at("LAST_NAME")] = pc.replace_substring_regex(found[at("LAST_NAME")], "[|;]", " ")
    score = pc.cast(found[at("SCORE")], pa.string())
    whole = pc.match_substring_regex(score, r"^\d+$")  # Arrow writes 1.0 as "1"
    found[at("SCORE")] = pc.if_else(whole, pc.binary_join_element_wise(score, ".0", ""), score)
    sink = pa.BufferOutputStream()
    pyarrow.csv.write_csv(pa.record_batch(found, names=NAMES), sink, LINES)
    return sink.getvalue()


def work(source: Path, target: Path) -> None:
    compressor = isal_zlib.compressobj(1, isal_zlib.DEFLATED, 31)
    with (target / "accounts.csv.gz").open("wb") as output:
        output.write(compressor.compress((",".join(f'"{name}"' for name in NAMES) + "\n").encode()))
        for text in ahead(map(lines, ahead(map(columns, ahead(blocks(source)))))):
            output.write(compressor.compress(text))
        output.write(compressor.flush())


if __name__ == "__main__":
    timed(work)
