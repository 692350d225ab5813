"""What the tests of Silverpop share."""

import csv

import anyio

from tests.integration.command import step
from tests.steps import make, rejects

LIKES = {
    "tableName": "Likes",
    "elements": "profile.likes",
    "columns": [
        {"sourceField": "name", "targetField": "NAME"},
        {"sourceField": "time", "targetField": "WHEN", "type": "DATE_TIME"},
        {"sourceField": "#", "targetField": "POSITION", "type": "NUMERIC"},
    ],
    "keyColumns": ["NAME"],
}


def empty(sandbox):
    vendor = sandbox["silverpop"]
    for number in list(vendor.database.contacts):
        vendor.database.remove(number)
    for table in list(vendor.tables_):
        table.rows.clear()
        del vendor.frame.collection("tables")[table.id]
    for folder in ("upload", "download"):
        for file in (vendor.frame.folder / folder).iterdir():
            file.unlink()


def contacts(sandbox):
    found = {}
    for row in sandbox.rows("silverpop", "contacts"):
        assert row["UID"] not in found, "a contact is there twice"
        found[row["UID"]] = row
    return found


def write(component, rows, *, size=None):
    """What a record writer gives on, and its rejects."""
    from landbridge.records import Batch

    async def deliver():
        done = []
        async with component.opened():
            for at in range(0, len(rows), size or len(rows)):
                done += (await component.write(Batch.from_objects(rows[at : at + (size or len(rows))]))).to_objects()
        return done

    return anyio.run(deliver), [(str(each["code"]), each["message"]) for each in rejects(component)]


def contact(api, **params):
    return make("datasource.write.silverpop.contact", {**api, **params})


def person(number, **fields):
    return {"UID": f"u{number}", "EMAIL": f"u{number}@example.com", **fields}


STORM = (
    ("token_expiry", {"skip": 2, "times": 1}),
    ("token_expiry", {"skip": 30, "times": 1}),
    ("concurrency", {"probability": 0.1}),
    ("rate_limit", {"probability": 0.05, "times": 2}),
    ("lost_reply", {"probability": 0.1}),
)


def storm(sandbox, operation="*"):
    for kind, fault in STORM:
        sandbox.fail(kind, operation=operation, **fault)


def table(api, **params):
    return make("datasource.write.silverpop.table", {**api, **LIKES, **params})


def findings(generator):
    async def collect():
        return [finding async for finding in generator]

    return anyio.run(collect)


def read(connection, since=None, *, spool, **params):
    component = make("datasource.read.silverpop", {**connection, **params}, spool_dir=spool)
    component.since = since

    async def collect():
        return [row async for batch in component.read() for row in batch.to_objects()]

    return anyio.run(collect)


def import_flow(command, folders, connection, rows, *, name="d.csv", **params):
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with (folders / "in" / name).open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    target = {} if "tableId" in params else {"listId": connection["listId"]}
    known = {key: value for key, value in connection.items() if key != "listId"}
    return command.flow(
        step("read", "datasource.read.local", path=str(folders / "in")),
        step("import", "datasource.write.silverpop", **known, **target, **params),
    )
