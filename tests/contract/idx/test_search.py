"""idx.search: its tables, its queries, its cursors."""

import pytest

from tests.contract.idx.flows import export

NAMES = [f"page {number:02}" for number in range(25)]


@pytest.fixture(scope="module")
def many(service):
    """25 dataflows of the second site, one of them with three versions, and a draft with two."""
    client = service.second
    ids = [client.ok("idx.createDataflow", data={"name": name, "steps": [], "n": n}) for n, name in enumerate(NAMES)]
    ids = [reply["id"] for reply in ids]
    for version in (2, 3):
        data = {"id": ids[0], "name": NAMES[0], "steps": [], "n": 0, "version": 1, "v": version}
        client.ok("idx.setDataflow", data=data)
    draft = client.ok("idx.createDataflowDraft", data={"name": "a draft", "steps": []})["id"]
    client.ok("idx.setDataflowDraft", data={"id": draft, "name": "a draft", "steps": [], "v": 2})
    yield ids
    for each in [*ids, draft]:
        client.ok("idx.deleteDataflow", id=each)


@pytest.fixture
def second(service, many):
    return service.second


def names(records):
    return [record["name"] for record in records]


def test_everything_of_a_table_comes_the_oldest_first(second, many):
    reply = second.ok("idx.search", query="SELECT * FROM dataflow WHERE name LIKE 'page%'")
    assert (reply["resultCount"], reply["totalCount"]) == (25, 25)
    assert [each["id"] for each in reply["result"]] == many


def test_conditions_order_start_and_limit(second):
    query = "select * from dataflow where n >= 5 and n < 15 order By n desc START 2 LIMIT 3"
    reply = second.ok("idx.search", query=query)
    assert [each["n"] for each in reply["result"]] == [12, 11, 10]
    assert (reply["resultCount"], reply["totalCount"]) == (3, 10)


def test_fields_can_be_chosen_and_counted(second):
    assert second.search("SELECT name, n AS number FROM dataflow WHERE n = 3") == [{"name": "page 03", "number": 3}]
    assert second.search("SELECT count(*) FROM dataflow WHERE name LIKE 'page%'") == [{"count(*)": 25}]


def test_nothing_found_is_no_key_result(second):
    reply = second.ok("idx.search", query="SELECT * FROM dataflow WHERE name = 'none'")
    assert reply["resultCount"] == reply["totalCount"] == 0
    assert "result" not in reply
    assert "nextCursorId" not in reply


def test_each_save_leaves_a_version(second, many):
    query = f"SELECT * FROM dataflow_version WHERE id = '{many[0]}' ORDER BY version DESC"
    versions = second.search(query)
    assert [(each["version"], each.get("v")) for each in versions] == [(3, 3), (2, 2), (1, None)]
    assert len(second.search("SELECT * FROM dataflow_version WHERE name LIKE 'page%'")) == 27
    drafts = second.search("SELECT * FROM dataflow_draft_version")
    assert [(each["version"], each["status"]) for each in drafts] == [(1, "draft"), (2, "draft")]
    assert names(second.search("SELECT * FROM dataflow_draft")) == ["a draft"]


def test_pages_by_cursor_give_everything_once(second):
    reply = second.ok("idx.search", query="SELECT * FROM dataflow ORDER BY name LIMIT 10", openCursor="true")
    found = names(reply["result"])
    pages = 1
    while cursor := reply.get("nextCursorId"):
        reply = second.ok("idx.search", cursorId=cursor)
        found += names(reply["result"])
        assert reply["totalCount"] == 25
        pages += 1
    assert found == NAMES
    assert pages == 3


def test_a_cursor_stays_with_what_it_found_while_dataflows_come_and_go(second, many):
    reply = second.ok("idx.search", query="SELECT * FROM dataflow ORDER BY name DESC LIMIT 20", openCursor="1")
    late = second.ok("idx.createDataflow", data={"name": "page 99", "steps": []})["id"]
    rest = second.ok("idx.search", cursorId=reply["nextCursorId"])
    again = second.ok("idx.search", cursorId=reply["nextCursorId"])
    assert names(rest["result"]) == names(again["result"]) == NAMES[4::-1]
    second.ok("idx.deleteDataflow", id=late)


def test_an_exact_last_page_has_no_cursor(second):
    reply = second.ok("idx.search", query="SELECT * FROM dataflow LIMIT 25", openCursor="true")
    assert reply["resultCount"] == 25
    assert "nextCursorId" not in reply


def test_a_cursor_belongs_to_its_site_and_must_exist(service, second):
    cursor = second.ok("idx.search", query="SELECT * FROM dataflow LIMIT 5", openCursor="true")["nextCursorId"]
    for client, sent in ((service.client, cursor), (second, "none"), (second, cursor + "9" * 30), (second, "_1")):
        assert client("idx.search", cursorId=sent)["errorCode"] == 400006


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ("SELECT", "early"),
        ("SELECT * FROM artifacts", "no such table"),
        ("SELECT * FROM dataflow WHERE", "early"),
        ("SELECT * FROM dataflow LIMIT 10001", "LIMIT"),
        ("SELECT * FROM dataflow WHERE name = 'open", "not closed"),
        ("DELETE FROM dataflow", ""),
        ("SELECT * FROM accounts", "no such table"),
        ("SELECT * FROM scheduling WITH x", "WITH"),
    ],
)
def test_a_query_that_cannot_be_answered_says_why(second, query, part):
    reply = second("idx.search", query=query)
    assert reply["errorCode"] == 400006
    assert part in reply["errorDetails"]


def test_a_search_without_a_query_misses_it(second):
    assert second("idx.search")["errorCode"] == 400002
    assert second("idx.search", query="SELECT count(*) FROM dataflow", openCursor="true")["errorCode"] == 400006


def test_the_table_script_lists_the_components(client):
    assert client.search("SELECT * FROM script WHERE id='GigyaAccountsExtractor'") == []
    found = client.search("SELECT * FROM script WHERE id='file.format.dsv'")
    assert [(each["input"], each["output"]) for each in found] == [("records", "files")]
    assert client.ok("idx.search", query="SELECT * FROM script")["totalCount"] > 40


def test_names_with_quotes_are_values_and_not_queries(client):
    flow = client.ok("idx.createDataflow", data=export(name="it's; DROP TABLE dataflow"))["id"]
    assert names(client.search('SELECT * FROM dataflow WHERE name = "it\'s; DROP TABLE dataflow"')) == [
        "it's; DROP TABLE dataflow"
    ]
    client.ok("idx.deleteDataflow", id=flow)
