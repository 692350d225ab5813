"""Which files are new: a model of a folder on another machine, with its own clock."""

from datetime import UTC, datetime, timedelta

import anyio
import pytest
from hypothesis import given, strategies as st

from landbridge.components.datasource.file_selection import to_read
from landbridge.components.datasource.files import FileSelection
from landbridge.errors import TransientError
from landbridge.jobs import delta_files
from landbridge.jobs.delta_files import FileHistory, FileMemory
from landbridge.remote.publish import Entry
from tests.steps import services

START = datetime(2026, 11, 22, tzinfo=UTC)


def at(hours):
    return START + timedelta(hours=hours)


def entry(name, hours, size=1):
    return Entry(name=name, size=size, modified=at(hours))


@given(st.data())
def test_every_version_of_a_file_is_read_exactly_once(data):
    """Files show up late by up to half a day, with times that are often equal, and are sometimes written again."""
    skew = data.draw(st.integers(-10, 10))
    memory = FileMemory(at(-30))
    folder, read, written = {}, [], []
    for hour in range(0, 60, 5):
        for _ in range(data.draw(st.integers(0, 3))):
            name = data.draw(st.sampled_from("abcde"))
            new = entry(name, hour + skew - data.draw(st.sampled_from([0, 0, 1, 12])), data.draw(st.integers(0, 2)))
            before = folder.get(name)
            if before != new and new not in written:
                folder[name] = new
        if data.draw(st.booleans()) and folder:
            del folder[data.draw(st.sampled_from(sorted(folder)))]
        listed = list(folder.values())
        written += [item for item in listed if item not in written]
        read += [item for item in listed if memory.is_new(item)]
        memory = FileMemory.from_json(memory.after(listed, now=at(hour)).as_json())
    assert sorted(read, key=repr) == sorted(written, key=repr)


def test_a_time_in_the_future_does_not_hide_the_files_that_come_later():
    memory = FileMemory(at(-24)).after([entry("odd", 24 * 365)], now=at(0))
    assert memory.is_new(entry("next", 1))
    assert not memory.is_new(entry("odd", 24 * 365))


def test_of_too_many_files_the_newest_are_remembered_and_all_of_the_same_time(monkeypatch):
    monkeypatch.setattr(delta_files, "MAX_FILES", 10)
    listed = [entry(f"f{number}", number // 4 / 100) for number in range(40)]
    memory = FileMemory(at(-24)).after(listed, now=at(1))
    assert 10 <= len(memory.seen) < 14
    assert not any(memory.is_new(item) for item in listed)
    assert memory.is_new(entry("new", 0.09))


def test_an_empty_folder_changes_nothing():
    memory = FileMemory(at(-24), {"a": (at(0), 1)})
    assert memory.after([], now=at(5)) == memory


def history(tmp_path, memory, *, read_all=False):
    return FileHistory(memory, read_all=read_all, started=at(1), kept=tmp_path / "jobs" / "j.json")


class Folder:
    """A store with these files; ``told`` is what stands in ready files, by their names."""

    def __init__(self, *entries, told=None):
        self.entries = entries
        self.told = told or {}

    async def list(self):
        return self.entries

    async def read(self, name):
        yield self.told.get(name, b"")


def read(folder, history, **params):
    """The files that a job reads, and how many records each must have."""
    selection = FileSelection.model_validate(params)
    found = anyio.run(lambda: to_read(folder, selection, services(), since=None, history=history))
    return [(each.entry, each.records) for each in found]


READY = {"readyFile": "{stem}.ready"}


def test_a_job_that_begins_again_reads_the_same_files(tmp_path):
    memory = FileMemory(at(-24), {"old": (at(0), 1)})
    first = history(tmp_path, memory)
    assert first.result() is None
    new = entry("new", 0.5)
    assert read(Folder(entry("old", 0), new), first) == [(new, None)]
    result = first.result()
    again = history(tmp_path, memory)
    assert read(Folder(entry("old", 0), new, entry("newer", 0.9)), again) == [(new, None)]
    assert again.result() == result
    assert FileMemory.from_json(result).is_new(entry("newer", 0.9))


@pytest.mark.parametrize(("told", "records"), [(b"3", 3), (b"", None)])
def test_a_job_that_begins_again_needs_no_ready_file_for_what_it_has_chosen(tmp_path, told, records):
    chosen, later = entry("a.csv", 0), entry("b.csv", 0.5)
    whole = Folder(chosen, entry("a.ready", 0), told={"a.ready": told})
    assert read(whole, history(tmp_path, FileMemory(at(-24))), **READY) == [(chosen, records)]
    bare = Folder(later, entry("b.ready", 0.5), chosen)
    assert read(bare, history(tmp_path, FileMemory(at(-24))), **READY) == [(chosen, records)]


def test_a_chosen_file_that_is_gone_when_the_job_begins_again_ends_it(tmp_path):
    read(Folder(entry("a.csv", 0), entry("b.csv", 0)), history(tmp_path, FileMemory(at(-24))))
    with pytest.raises(TransientError) as error:
        read(Folder(entry("b.csv", 0)), history(tmp_path, FileMemory(at(-24))))
    assert error.value.code == "LB-3105"


def test_a_chosen_file_that_is_written_anew_when_the_job_begins_again_must_be_ready_again(tmp_path):
    read(
        Folder(entry("a.csv", 0), entry("a.ready", 0), told={"a.ready": b"3"}),
        history(tmp_path, FileMemory(at(-24))),
        **READY,
    )
    again, anew = history(tmp_path, FileMemory(at(-24))), entry("a.csv", 0.5, size=2)
    for beside in ([], [entry("a.ready", 0)]):
        with pytest.raises(TransientError) as error:
            read(Folder(anew, *beside), again, **READY)
        assert error.value.code == "LB-3104"
    assert read(Folder(anew, entry("a.ready", 0.6)), again, **READY) == [(anew, None)]
    assert read(Folder(anew, entry("a.ready", 0), told={"a.ready": b"4"}), again, **READY) == [(anew, 4)]


def test_a_file_that_waits_for_its_ready_file_is_not_remembered_as_read(tmp_path):
    first = history(tmp_path, FileMemory(at(-24)))
    assert read(Folder(entry("a.csv", 0.5), entry("a.ready", 0)), first, **READY) == []
    assert FileMemory.from_json(first.result()).is_new(entry("a.csv", 0.5))


def test_a_file_whose_ready_file_comes_days_later_is_read_once(tmp_path):
    first, other = [entry("a.csv", 0)], [entry("b.csv", 48), entry("b.ready", 48)]
    late = [*first, *other, entry("a.ready", 72)]
    memory, found = FileMemory(at(-24)), []
    for hour, listed in ((1, first), (49, [*first, *other]), (73, late), (97, late)):
        known = FileHistory(memory, read_all=False, started=at(hour), kept=tmp_path / str(hour))
        found.append([each for each, _ in read(Folder(*listed), known, **READY)])
        memory = FileMemory.from_json(known.result())
    assert found == [[], [entry("b.csv", 48)], [entry("a.csv", 0)], []]


def test_a_full_extract_reads_all_and_remembers_what_it_read(tmp_path):
    full = history(tmp_path, FileMemory(at(-24), {"old": (at(0), 1)}), read_all=True)
    found = read(Folder(entry("ancient", -1000), entry("old", 0)), full)
    assert [each.name for each, _ in found] == ["ancient", "old"]
    memory = FileMemory.from_json(full.result())
    assert not memory.is_new(entry("ancient", -1000))
    assert not memory.is_new(entry("old", 0))
    assert memory.is_new(entry("late", -12))


@pytest.mark.parametrize("read_all", [True, False])
def test_a_full_extract_of_an_empty_folder_makes_nothing_count_as_read(tmp_path, read_all):
    found = history(tmp_path, FileMemory(at(-24)), read_all=read_all)
    assert read(Folder(), found) == []
    assert FileMemory.from_json(found.result()).is_new(entry("late", -12))
