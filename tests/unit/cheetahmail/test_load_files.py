"""Files for load1: everybody is in them once for each record, in order, and no cell is empty."""

import csv
import io

from hypothesis import given, strategies as st

from landbridge.components.datasource.cheetahmail_load import load_files
from landbridge.components.datasource.cheetahmail_subscriber import Person

NAMES = ("UID", "CITY", "ZIP")
TEXTS = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=6)
ROWS = st.tuples(st.sampled_from("abc"), st.dictionaries(st.sampled_from(NAMES[1:]), TEXTS))


def person(name, fields):
    email = f"{name}@example.com"
    return Person(email, {"UID": name, **fields}, uid=name, previous=email, was_known=False, wants=None)


@given(st.lists(ROWS, max_size=12))
def test_files_hold_each_record_once_in_the_order_of_its_person_without_an_empty_cell(rows):
    people = [person(name, fields) for name, fields in rows]
    written = [
        row for content in load_files(people) for row in csv.DictReader(io.StringIO(content.decode(), newline=""))
    ]
    assert all(all(row.values()) for row in written)
    for name in "abc":
        mine = [{key: text for key, text in row.items() if key != "EMAIL"} for row in written if row["UID"] == name]
        assert mine == [each.fields for each in people if each.uid == name]
