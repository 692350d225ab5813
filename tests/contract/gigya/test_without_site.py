"""What the local site does not answer: comments and loyalty, against fixed answers."""

from tests.contract.gigya.local_site import read, written
from tests.contract.gigya.stub import stub
from tests.steps import make


def test_loyalty_status_is_added_as_achievements():
    def answer(method, parameters, headers):
        if parameters["UID"] == "unknown":
            return 200, {"errorCode": 403005, "errorMessage": "Unauthorized user"}
        return 200, {"errorCode": 0, "achievements": [{"challengeID": "buyer", "level": 2, "pointsTotal": 70}]}

    with stub(answer) as server:
        params = {**server.params, "includeChallenges": "buyer, fan", "excludeChallenges": ["_default"]}
        rows = [{"UID": "u1"}, {"UID": "unknown"}, {"name": "nobody"}]
        done, rejects = written(make("datasource.lookup.gigya.gm", params), rows)
        method, parameters, _ = server.asked[0]
    assert done == [{"UID": "u1", "achievements": [{"challengeID": "buyer", "level": 2, "pointsTotal": 70}]}]
    assert [code for code, _ in rejects] == ["403005", "400002"]
    assert method == "gm.getChallengeStatus"
    assert (parameters["includeChallenges"], parameters["excludeChallenges"]) == ("buyer,fan", "_default")


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
