"""What a dry run tells, and what a check of the connection does."""

import anyio

from landbridge.components import check
from landbridge.components.base import Verdict
from tests.integration.cheetahmail.parts import LIST, WRITER, foreseen, people, person, written
from tests.steps import make


def test_a_dry_run_tells_what_would_become_of_each(sandbox, listed, connection):
    written(listed, person("u1", CITY="Bern", Subscribed="Yes"), person("u2", Subscribed="Yes"))
    before = people(sandbox)
    records = [person("u1", CITY="Bern"), person("u2", CITY="Rom"), person("u3"), {"UID": "u4"}]
    told = foreseen(listed, *records, person("u2", Subscribed="No"))
    wanted = [Verdict.UNCHANGED, Verdict.UPDATE, Verdict.CREATE, Verdict.INVALID, Verdict.UPDATE]
    assert [each.verdict for each in told] == wanted
    assert [each.opts_out for each in told] == [False] * 4 + [True]
    leaving = foreseen({**connection, "action": "unsubscribe", "listId": LIST}, person("u1"), person("u9"))
    assert [(each.verdict, each.opts_out) for each in leaving] == [(Verdict.UPDATE, True), (Verdict.UNCHANGED, False)]
    [loaded] = foreseen({**connection, "bulk": True, "masterList": True}, person("u1"))
    assert loaded.verdict is Verdict.CANNOT_TELL
    assert people(sandbox) == before


def test_a_check_tells_what_is_fit_and_what_is_not(connection):
    async def run(params):
        return [(each.what, each.verdict) async for each in check.tested(make(WRITER, params))]

    assert anyio.run(run, {**connection, "listId": LIST}) == [("login", "ok"), ("subscribers", "ok"), ("list", "ok")]
    assert anyio.run(run, {**connection, "listId": "77"})[-1] == ("list", "warning")
    assert anyio.run(run, {**connection, "apiPassword": "wrong"}) == [("connection", "failed")]
