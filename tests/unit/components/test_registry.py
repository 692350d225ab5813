"""The registry: every id leads to its class, and an unknown one to an error that helps."""

import pytest

from landbridge.components import registry
from landbridge.errors import FlowError


@pytest.mark.parametrize("id", registry.ids())
def test_an_id_leads_to_the_class_that_has_it(id):
    assert registry.get(id).spec.id == id


def test_a_slip_is_told_with_the_id_that_was_meant():
    with pytest.raises(FlowError) as caught:
        registry.get("file.fromat.dsv")
    assert (caught.value.code, caught.value.hint) == ("LB-1101", 'Did you mean "file.format.dsv"?')


def test_an_id_that_only_begins_like_another_is_no_slip():
    with pytest.raises(FlowError) as caught:
        registry.get("datasource.write.carrier.pigeon")
    assert "Did you mean" not in caught.value.hint


def test_a_component_of_identitysync_that_is_not_there_is_told_as_such():
    with pytest.raises(FlowError, match="known to IdentitySync") as caught:
        registry.get("datasource.lookup.gender")
    assert caught.value.code == "LB-1101"
