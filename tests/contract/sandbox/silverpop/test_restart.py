"""What the platform knows outlives its process."""

import anyio

from landbridge.sandbox import Sandbox
from tests.contract.sandbox.silverpop.parts import columns_of


def test_state_with_contacts_tables_and_jobs_survives_a_restart(tmp_path):
    async def first():
        async with Sandbox("silverpop", folder=tmp_path) as sandbox:
            vendor = sandbox["silverpop"]
            number = vendor.database.insert(
                {"UID": "u1", "EMAIL": "a@b.example"}, opted_in=True, details="", created_from=1
            )
            vendor.database.opt_out(number, "link")
            vendor.tables_.create("T", columns_of("UID")).put({"UID": "u1"}, budget=10)
            vendor.jobs.begin("Slow", forever, {})
            return [(table.name, table.rows) for table in vendor.tables()][:2]

    async def forever(_):
        await anyio.sleep_forever()

    async def second():
        async with Sandbox("silverpop", folder=tmp_path) as sandbox:
            vendor = sandbox["silverpop"]
            assert vendor.database.matches({"UID": "u1"})
            return [(table.name, table.rows) for table in vendor.tables()]

    before, after = anyio.run(first), anyio.run(second)
    assert after[:2] == before
    assert [job["status"] for job in dict(after)["jobs"]] == ["ERROR"]
