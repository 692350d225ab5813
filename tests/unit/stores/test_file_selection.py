"""Which files a reader takes, and in which order."""

from __future__ import annotations

import os
import re
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from hypothesis import given, strategies as st

from landbridge.components.datasource.file_selection import compiled, selected, to_read
from landbridge.components.datasource.files import FileSelection
from landbridge.errors import TransientError
from landbridge.remote.publish import Entry, temporary_name
from tests.steps import make, services

START = datetime(2026, 3, 1, tzinfo=UTC)

names = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="/"), min_size=1)
entries = st.lists(
    st.builds(
        Entry,
        name=names,
        size=st.integers(0, 10),
        modified=st.integers(0, 5).map(lambda seconds: START + timedelta(seconds=seconds)),
    ),
    unique_by=lambda entry: entry.name,
)


def entry(name: str, *, second: int = 0) -> Entry:
    return Entry(name=name, size=1, modified=START + timedelta(seconds=second))


def taken(offered: list[Entry], **params: str) -> list[str]:
    return [found.name for found in selected(offered, FileSelection.model_validate(params))]


class Folder:
    """A store that lists these files; those of ``contents`` have some."""

    def __init__(self, *entries: Entry, **contents: bytes) -> None:
        self.entries = entries
        self.contents = {name.replace("_", "."): content for name, content in contents.items()}

    async def list(self) -> tuple[Entry, ...]:
        return self.entries

    async def read(self, name: str) -> AsyncGenerator[bytes]:
        yield self.contents.get(name, b"")


def read(folder: Folder, *, since: datetime | None = None, **params: str) -> list[tuple[str, int | None]]:
    """Name and told number of records of the files that a job reads."""
    selection = FileSelection.model_validate(params)
    chosen = anyio.run(lambda: to_read(folder, selection, services(), since=since, history=None))
    return [(each.entry.name, each.records) for each in chosen]


@given(entries, st.sampled_from(["time", "name"]))
def test_descending_is_ascending_backwards(offered: list[Entry], sort_by: str) -> None:
    ascending = taken(offered, sortBy=sort_by, sortOrder="ASC")
    assert taken(offered, sortBy=sort_by, sortOrder="DESC") == ascending[::-1]


@given(entries)
def test_the_order_does_not_depend_on_the_order_of_the_listing(offered: list[Entry]) -> None:
    assert taken(offered) == taken(offered[::-1])


@given(entries, names)
def test_an_escaped_name_takes_that_file_and_no_other(offered: list[Entry], name: str) -> None:
    expected = [name] if any(found.name == name for found in offered) and not name.endswith(".uploading") else []
    assert taken(offered, fileNameRegex=re.escape(name)) == expected


def test_the_pattern_has_to_match_the_whole_name() -> None:
    offered = [entry("a.csv"), entry("a.csv.gz"), entry("aXcsv"), entry("b-a.csv")]
    assert taken(offered, fileNameRegex=r"a\.csv") == ["a.csv"]


def test_an_empty_pattern_takes_all_files() -> None:
    assert taken([entry("a"), entry("b")], fileNameRegex="") == ["a", "b"]


def test_the_pattern_is_held_against_the_file_name_and_not_its_folder() -> None:
    offered = [entry("Test1/a.csv"), entry("Test2/b.txt")]
    assert taken(offered, fileNameRegex=r".*\.csv") == ["Test1/a.csv"]


def test_named_groups_are_written_as_in_java() -> None:
    pattern = compiled(r"(?<day>\d+)_(?<kind>[a-z]+)(?<!x)\.csv")
    found = pattern.search("20260301_daily.csv")
    assert found is not None
    assert (found["day"], found["kind"]) == ("20260301", "daily")


def test_classes_of_characters_are_those_of_java() -> None:
    offered = [entry("users1.csv"), entry("usérs.csv"), entry("users.csv")]
    assert taken(offered, fileNameRegex=r"\p{Alpha}+\.csv") == ["users.csv"]
    with pytest.raises(ValueError, match="not supported"):
        compiled("[a-z&&[^b]]")


def test_a_wildcard_instead_of_a_pattern_is_explained() -> None:
    with pytest.raises(ValueError, match=r"all \.csv files is \.\*"):
        compiled("*.csv")


def test_uploads_under_way_are_never_taken() -> None:
    offered = [entry("a.csv.uploading"), entry(temporary_name("a.csv")), entry("a.csv")]
    assert taken(offered, fileNameRegex=".*") == ["a.csv"]


def test_files_of_one_second_are_ordered_by_name() -> None:
    offered = [entry("b"), entry("a"), entry("c", second=-1)]
    assert taken(offered) == ["c", "a", "b"]


def test_files_from_before_the_last_run_can_be_left_out() -> None:
    offered = [entry("old", second=-1), entry("same"), entry("new", second=1)]
    assert read(Folder(*offered), since=START) == [("same", None), ("new", None)]


def test_only_files_with_their_ready_file_are_taken_and_ready_files_never() -> None:
    offered = [entry("a.csv"), entry("a.ready"), entry("b.csv.gz"), entry("b.ready"), entry("c.csv"), entry("d.ready")]
    assert taken(offered, readyFile="{stem}.ready") == ["a.csv", "b.csv.gz"]
    offered = [entry("a.csv"), entry("a.csv.done"), entry("b.csv"), entry("b.done")]
    assert taken(offered, readyFile="{file}.done") == ["a.csv"]


def test_a_file_is_as_new_as_its_ready_file() -> None:
    offered = [entry("a.csv", second=-2), entry("a.ready", second=1), entry("b.csv", second=-2)]
    offered.append(entry("b.ready", second=-1))
    assert read(Folder(*offered), since=START, readyFile="{stem}.ready") == [("a.csv", None)]


def test_a_file_that_is_changed_after_its_ready_file_waits_for_a_new_one() -> None:
    offered = [
        entry("a.csv", second=2),
        entry("a.ready", second=1),
        entry("b.csv", second=2),
        entry("b.ready", second=2),
    ]
    assert read(Folder(*offered), readyFile="{stem}.ready") == [("b.csv", None)]


def test_a_ready_file_with_a_number_is_compared_with_the_file_whatever_their_times() -> None:
    offered = [entry("a.csv", second=2), entry("a.ready", second=1), entry("b.csv"), entry("b.ready")]
    folder = Folder(*offered, a_ready=b"12\n", b_ready=b"0")
    assert read(folder, readyFile="{stem}.ready") == [("b.csv", 0), ("a.csv", 12)]


def test_times_are_compared_as_stores_keep_them_in_whole_seconds() -> None:
    late = replace(entry("a.csv"), modified=START + timedelta(milliseconds=900))
    assert read(Folder(late, entry("a.ready")), readyFile="{stem}.ready") == [("a.csv", None)]


@given(entries)
def test_files_with_a_ready_file_beside_each_are_the_same_as_without(offered: list[Entry]) -> None:
    plain = [found for found in offered if not found.name.endswith((".ready", ".uploading"))]
    beside = [entry(f"{found.name}.ready") for found in plain]
    assert taken([*plain, *beside], readyFile="{file}.ready") == taken(plain)
    assert taken(plain, readyFile="{file}.ready") == []


@pytest.mark.parametrize("pattern", ["all.ready", "{file}"])
def test_a_ready_file_belongs_to_one_file(pattern: str) -> None:
    with pytest.raises(ValueError, match="readyFile"):
        FileSelection.model_validate({"readyFile": pattern})


@pytest.mark.parametrize("divided", [False, True])
def test_a_file_that_is_rewritten_while_others_are_read_is_read_only_when_it_is_ready_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, divided: bool
) -> None:
    monkeypatch.setattr("landbridge.components.datasource.files._LISTING_LASTS_S", -1.0)
    for name in ("a.csv", "a.ready", "b.csv", "b.ready"):
        (tmp_path / name).write_text("")

    def change(name: str, *, seconds: int) -> None:
        os.utime(tmp_path / name, (time.time() + seconds,) * 2)

    async def rest() -> list[str]:
        reader = make("datasource.read.local", {"path": str(tmp_path), "readyFile": "{stem}.ready", "sortBy": "name"})
        if divided:
            [reader.split] = await reader.splits(target=1, parser=None)
        async with aclosing(reader.files()) as files:
            await anext(files)
            change("b.csv", seconds=60)
            with pytest.raises(TransientError) as error:
                await anext(files)
        assert error.value.code == "LB-3104"
        async with aclosing(reader.files()) as files:
            change("b.ready", seconds=60)
            return [each.start.name async for each in files]

    assert anyio.run(rest) == ["a.csv", "b.csv"]
