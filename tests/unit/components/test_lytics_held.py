"""What the site holds of an audience: changes and leavers are found as a plain dictionary finds them."""

from hypothesis import given, strategies as st

from landbridge.components.datasource.lytics_held import Held, Once, told

UIDS = st.text("abé\n", min_size=1, max_size=3)
LISTS = st.lists(st.sampled_from("xyz"), max_size=3)


@given(st.dictionaries(UIDS, LISTS), st.lists(st.dictionaries(UIDS, LISTS), max_size=3))
def test_changes_and_leavers_are_those_of_a_dictionary(tmp_path_factory, stored, pages):
    held = Held(tmp_path_factory.mktemp("held") / "uids")
    accounts = [(uid, told(slugs)) for uid, slugs in stored.items()]
    for begin in range(0, len(accounts), 2):
        held.add(accounts[begin : begin + 2])
    held.complete()
    for page in pages:
        users = [(uid, told(slugs)) for uid, slugs in page.items()]
        wanted = [uid not in stored or sorted(stored[uid]) != sorted(slugs) for uid, slugs in page.items()]
        assert held.changed(users) == wanted
    seen = {uid for page in pages for uid in page}
    assert [uid for part in held.unseen() for uid in part] == [uid for uid in stored if uid not in seen]
    held.close()


@given(st.lists(st.lists(UIDS, max_size=6), max_size=6))
def test_only_the_first_of_equal_texts_is_new(pages):
    once, seen = Once(), set()
    for page in pages:
        wanted = []
        for text in page:
            wanted.append(text not in seen)
            seen.add(text)
        assert once.new(page) == wanted
