"""Every template that sends mobile numbers: in international form, to the platform's own column, others left out."""

import pytest

from landbridge.cli.round_trip import pairs
from landbridge.templates import load, names
from tests.integration.round_trips import on_scene

pytestmark = pytest.mark.usefixtures("own_environment")

PHONES = [
    ([{"type": "home", "number": "+47 22 00 00 00"}, {"type": "mobile", "number": "0047 (912) 34-567"}], "+4791234567"),
    ([{"type": "home", "number": "+49.171/1234567"}], "+491711234567"),
    ([{"type": "mobile", "number": "0171 1234567"}], ""),
    ([{"type": "mobile", "number": "not yet"}], ""),
    ([], ""),
]
"""What accounts have, and what arrives."""

ALL = {"kind": "import", "name": "All", "filePattern": "accounts_members_*"}
ALL |= {"countFile": "{stem}.count", "readyFile": "{stem}.ready"}


def silverpop(scene):
    connection = scene.connection("silverpop", ("clientSecret", "refreshToken", "password"))
    return {**connection, "fields": pairs({"profile.email": "EMAIL"}), "subscription": "none"}


def responsys(scene):
    connection = scene.connection("responsys", ("password",))
    return {**connection, "fields": pairs({"profile.email": "EMAIL_ADDRESS_"})}


def responsys_files(scene):
    scene.sandbox["responsys"].connect.define(ALL)
    return {**scene.file_connection("responsys", ("privateKey",)), "subscription": "none", "deactivated": "leave"}


def numbers_at(platform):
    """The numbers that a platform has, by UID."""
    if platform.name == "silverpop":
        columns = [each["columns"] for each in platform.database.contacts.values()]
        return {each["UID"]: each.get("SMS Phone Number", "") for each in columns}
    return {each["CUSTOMER_ID_"]: each.get("MOBILE_NUMBER_") or "" for each in platform.members.records.values()}


FORMS = {
    "silverpop-outbound": silverpop,
    "silverpop-contacts": silverpop,
    "responsys-members": responsys,
    "responsys-files-out": responsys_files,
}
ASKING = [name for name in names() if (form := load(name).form) and "phoneField" in {each.name for each in form.fields}]


@pytest.mark.parametrize("name", ASKING)
def test_mobile_numbers_arrive_in_international_form(name, tmp_path):
    vendor = name.partition("-")[0]

    async def play(scene):
        found = await scene.accounts()
        active = sorted(uid for uid, account in found.items() if account["isActive"])[: len(PHONES)]
        await scene.change(
            {uid: {"profile": {"phones": phones}} for uid, (phones, _) in zip(active, PHONES, strict=True)}
        )
        values = {**FORMS[name](scene), "phoneField": "profile.phones"}
        fields = {field.name for field in load(name).form.fields}
        await scene.run(name, {key: value for key, value in values.items() if key in fields})
        await scene.sandbox.idle()
        arrived = numbers_at(scene.sandbox[vendor])
        assert len(arrived) > len(PHONES)
        assert [arrived[uid] for uid in active] == [wanted for _, wanted in PHONES]

    on_scene(vendor, play, people=20, folder=tmp_path)


def test_without_a_field_for_them_no_number_is_asked_for():
    for name in ASKING:
        form = load(name).form
        text = (
            load(name).fill({key: value for key, value in form.examples().items() if key != "phoneField"}).flow.dump()
        )
        assert "phone" not in text.lower()
        assert "MOBILE" not in text
