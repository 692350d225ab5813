"""Rows of relational tables."""

from tests.contract.sandbox.silverpop.parts import call


def rows(*rows_, cell="COLUMN"):
    written = "".join(
        "<ROW>" + "".join(f'<{cell} name="{name}">{value}</{cell}>' for name, value in row.items()) + "</ROW>"
        for row in rows_
    )
    return f"<ROWS>{written}</ROWS>"


def new_table(sandbox, name, **kinds):
    columns = [
        {"name": column, "type": kind, "key": column in ("UID", "NAME"), "required": False}
        for column, kind in {"UID": "TEXT", "NAME": "TEXT", **kinds}.items()
    ]
    return sandbox.do(lambda s: s["silverpop"].tables_.create(name, columns).id)


def test_rows_are_judged_one_by_one(connection, sandbox):
    table = new_table(sandbox, "Judged", WHEN="DATE")
    put_rows = rows({"UID": "u1", "NAME": "a", "WHEN": "02/03/2026"}, {"UID": "u1", "NAME": "b", "WHEN": "2026"})
    reply = call(
        connection, f"<InsertUpdateRelationalTable><TABLE_ID>{table}</TABLE_ID>{put_rows}</InsertUpdateRelationalTable>"
    )
    assert 'description="Invalid Date Value in column: WHEN"' in reply
    assert "TRUE" in reply
    delete = rows({"UID": "u1", "NAME": "a"}, {"UID": "u1", "NAME": "x"}, cell="KEY_COLUMN")
    reply = call(
        connection, f"<DeleteRelationalTableData><TABLE_ID>{table}</TABLE_ID>{delete}</DeleteRelationalTableData>"
    )
    assert reply.count("Row Not Found") == 1
    assert sandbox.rows("silverpop", "table Judged") == []


def test_a_call_takes_no_more_than_a_hundred_rows(connection, sandbox):
    table = new_table(sandbox, "Hundred")
    many = rows(*({"UID": "u", "NAME": str(n)} for n in range(101)))
    reply = call(
        connection, f"<InsertUpdateRelationalTable><TABLE_ID>{table}</TABLE_ID>{many}</InsertUpdateRelationalTable>"
    )
    assert "ROWS must hold" in reply
