"""What the local site does not answer, because the vendor describes no methods for it: comments."""

from tests.contract.gigya.local_site import read
from tests.contract.gigya.stub import stub
from tests.steps import make


def test_comments_are_read_in_pages_and_dotted_names_are_nested():
    def answer(method, parameters, headers):
        if "cursorId" in parameters:
            return 200, {"errorCode": 0, "results": [{"ID": "2", "sender.name": "B"}], "objectsCount": 1}
        page = [{"ID": "1", "sender.name": "A"}]
        return 200, {"errorCode": 0, "results": page, "objectsCount": 1, "totalCount": 2, "nextCursorId": "c"}

    with stub(answer) as server:
        params = {**server.params, "where": 'categoryID="comments"'}
        rows = read(make("datasource.read.gigya.comment", params))
        kept = read(make("datasource.read.gigya.comment", {**params, "keepFieldNamesWithDotAsIs": True}))
        method, parameters, _ = server.asked[0]
    assert rows == [{"ID": "1", "sender": {"name": "A"}}, {"ID": "2", "sender": {"name": "B"}}]
    assert kept == [{"ID": "1", "sender.name": "A"}, {"ID": "2", "sender.name": "B"}]
    assert method == "comments.search"
    assert parameters["query"] == 'SELECT * FROM comments WHERE categoryID="comments" LIMIT 100'
