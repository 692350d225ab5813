"""What the tests of CheetahMail share."""

import anyio

from landbridge.records import Batch
from landbridge.remote import http
from tests.steps import make, rejects

VENDOR, LIST, WRITER = "cheetahmail", "2094099241", "datasource.write.cheetahmail"
API = ("url", "apiUser", "apiPassword", "affiliateId")


def empty(sandbox):
    own = sandbox[VENDOR]
    for number in list(own.subscribers.records):
        own.subscribers.delete(number)
    for kept in (own.subscribers.suppressed, own.subscribers.events, own.loads):
        kept.clear()


def written(params, *records):
    """What a writer takes of records, and the code and reason for each of the others."""
    step = make(WRITER, params)

    async def run():
        async with step.opened():
            return (await step.write(Batch.from_objects(records))).to_objects()

    done = anyio.run(run)
    return done, [(each["code"], each["message"]) for each in rejects(step)]


def person(uid, **more):
    return {"UID": uid, "EMAIL": f"{uid}@example.com", **more}


def people(sandbox):
    return {row["UID"]: row for row in sandbox.rows(VENDOR, "subscribers")}


def calls(sandbox):
    return {row["operation"]: row["number"] for row in sandbox.rows(VENDOR, "calls")}


def state(sandbox, uid):
    fact = people(sandbox)[uid]["lists"].get(LIST)
    return None if fact is None else fact["reason"] or "on"


def leave(sandbox, uid, reason="w"):
    def act(own):
        known = own[VENDOR].subscribers
        known.unsubscribe(known.find_by("UID", uid), LIST, reason)

    sandbox.do(act)


def swap(*uids, **more):
    """Everybody gets the address of the next one, and the last one that of the first."""
    return [
        {**person(uid, **more), "EMAIL": f"{other}@example.com", "BEFORE": f"{uid}@example.com"}
        for uid, other in zip(uids, [*uids[1:], uids[0]], strict=True)
    ]


def held_up(sandbox, monkeypatch, *happenings):
    """Lets things happen at the platform, one after the other, while the step waits after a failed call."""
    left = list(happenings)

    def delay_s(self, attempt):
        if left:
            sandbox.do(left.pop(0))
        return 0.01

    monkeypatch.setattr(http.Retries, "delay_s", delay_s)


def foreseen(params, *records):
    """What a dry run tells of each record."""
    step = make(WRITER, params)

    async def run():
        async with step.opened():
            return await step.forecast(Batch.from_objects(records))

    return anyio.run(run)
