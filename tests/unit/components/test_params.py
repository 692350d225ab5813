"""What parameters of several components have in common."""

import pytest

from landbridge.components.params import ComponentParams, FieldPath, TextList
from landbridge.errors import FlowError
from tests.steps import make


class Params(ComponentParams):
    field: FieldPath | None = None
    names: TextList | None = None


def test_blanks_around_the_path_of_a_field_do_not_count():
    assert Params(field=" profile.email ").field == "profile.email"
    assert Params(field="' a.b '").field == "' a.b '"


def test_several_texts_may_be_written_as_one():
    assert Params(names=" a, b,,c ").names == Params(names=["a", "b", "c"]).names == ["a", "b", "c"]
    assert Params(names="").names is None


@pytest.mark.parametrize(
    ("component", "params"),
    [
        ("field.array.join", {"field": "a..b"}),
        ("field.array.join", {"field": "a", "element": "b["}),
        ("field.array.extract", {"field": "a", "propagationFields": ["UID", "b."]}),
        ("field.array.extract", {"field": "a", "keyField": ".key"}),
        ("field.date.format", {"fields": [{"field": "a", "targetField": "b..c", "targetFormat": "iso"}]}),
        ("field.replace", {"fields": [{"field": "a.", "regex": "x"}]}),
        ("file.parse.dsv", {"filenameField": "a[b]"}),
        ("file.parse.json", {"filenameField": "a[b]"}),
    ],
)
def test_a_path_that_is_none_is_told_before_anything_runs(component, params):
    with pytest.raises(FlowError, match="is not a field path") as caught:
        make(component, params)
    assert caught.value.code == "LB-1201"
