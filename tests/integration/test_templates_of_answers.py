"""Every template that carries a subscription to a platform, with accounts that tell theirs in all kinds of words."""

import pytest

from landbridge.templates import load
from tests.integration.round_trips import on_scene
from tests.integration.test_templates_of_opt_outs import OUT, STATUS, at_start, subscribed_at

pytestmark = pytest.mark.usefixtures("own_environment")

YES = (True, "true", "Yes", "Y", "1")
NO = (False, "FALSE", "no", "n", "0")
NEITHER = ("maybe", "2", "ja")


def out_at(platform):
    """UIDs of those whom the platform must not write to."""
    if platform.name == "silverpop":
        found = platform.database.contacts.values()
        return {each["columns"]["UID"] for each in found if each["optedOut"] is not None}
    if platform.name == "cheetahmail":
        found = platform.subscribers.records.values()
        return {each["fields"]["UID"] for each in found if any(fact["left"] for fact in each["lists"].values())}
    return {each["CUSTOMER_ID_"] for each in platform.members.records.values() if each[STATUS] == "O"}


@pytest.mark.parametrize("name", OUT)
def test_yes_and_no_are_read_in_all_words_and_anything_else_is_rejected_and_changes_nothing(name, tmp_path):
    """First everybody subscribes, so that a no that was never said would show."""

    async def play(scene):
        found = await scene.accounts()
        active = sorted(uid for uid, account in found.items() if account["isActive"])
        told = dict(zip(active, (*YES, *NO, *NEITHER), strict=False))
        assert len(told) == len(YES + NO + NEITHER)
        platform = scene.sandbox[name.partition("-")[0]]
        values = {**at_start(scene, name), "subscriptionField": "data.answer"}
        fields = {field.name for field in load(name).form.fields}
        values = {key: value for key, value in values.items() if key in fields}
        values["where"] = "data.answer != null"
        await scene.change({uid: {"data": {"answer": "yes"}} for uid in told})
        await scene.run(name, values)
        await scene.sandbox.idle()
        assert subscribed_at(platform) == set(told)
        await scene.change({uid: {"data": {"answer": answer}} for uid, answer in told.items()})
        report = await scene.run(name, values, may_reject=True)
        await scene.sandbox.idle()
        assert report.rejects == len(NEITHER)
        assert out_at(platform) == {uid for uid, answer in told.items() if answer in NO}
        assert subscribed_at(platform) == {uid for uid, answer in told.items() if answer not in NO}

    on_scene(name.partition("-")[0], play, people=20, folder=tmp_path)


def test_who_was_deactivated_is_opted_out_whatever_the_account_tells(tmp_path):
    async def play(scene):
        found = await scene.accounts()
        uid = min(uid for uid, account in found.items() if account["isActive"])
        platform = scene.sandbox["responsys"]
        values = {**at_start(scene, "responsys-files-out"), "subscriptionField": "data.answer"}
        values |= {"deactivated": "optOut", "where": "data.answer != null"}
        await scene.change({uid: {"data": {"answer": "yes"}}})
        await scene.run("responsys-files-out", values)
        await scene.sandbox.idle()
        assert subscribed_at(platform) == {uid}
        await scene.change({uid: {"data": {"answer": "maybe"}}}, isActive="false")
        await scene.run("responsys-files-out", values)
        await scene.sandbox.idle()
        assert out_at(platform) == {uid}

    on_scene("responsys", play, people=6, folder=tmp_path)


def test_columns_of_contacts_become_true_and_false_and_what_is_neither_is_rejected(tmp_path):
    async def play(scene):
        found = await scene.accounts()
        uids = sorted(found)[:3]
        contacts = scene.sandbox["silverpop"].database
        for uid, answer in zip(uids, ("Yes", "No", "perhaps"), strict=True):
            columns = {"UID": uid, "EMAIL": f"{uid}@example.com", "Newsletter": answer}
            contacts.insert(columns, opted_in=True, details="", created_from=1)
        connection = scene.connection("silverpop", ("clientSecret", "refreshToken", "password"))
        values = {**connection, "fields": "Newsletter=data.answer", "yesNo": "Newsletter", "numbers": ""}
        fields = {field.name for field in load("silverpop-scores").form.fields}
        values = {key: value for key, value in values.items() if key in fields}
        report = await scene.run("silverpop-scores", values, may_reject=True)
        after = await scene.accounts()
        assert report.rejects == 1
        assert [after[uid]["data"].get("answer") for uid in uids] == [True, False, None]

    on_scene("silverpop", play, people=6, folder=tmp_path)


def test_columns_of_an_export_become_numbers_where_the_form_says(tmp_path):
    async def play(scene):
        found = await scene.accounts()
        uid = min(uid for uid, account in found.items() if account["isActive"])
        platform = scene.sandbox["responsys"]
        platform.members.put(
            None, {"CUSTOMER_ID_": uid, "EMAIL_ADDRESS_": "a@example.com", "SCORE": "42", "POSTAL_CODE_": "7"}
        )
        job = {
            "kind": "export",
            "name": "M",
            "fileName": "members",
            "fields": ("CUSTOMER_ID_", "SCORE", "POSTAL_CODE_"),
        }
        platform.connect.define({**job, "readyFile": "{stem}.ready"})
        platform.connect.run("M")
        await scene.sandbox.idle()
        values = {**scene.file_connection("responsys", ("privateKey",))}
        values["fields"] = "SCORE=data.score, POSTAL_CODE_=data.rank"
        await scene.run("responsys-files-back", values)
        after = (await scene.accounts())[uid]["data"]
        assert (after["score"], after["rank"]) == (42, "7")

    on_scene("responsys", play, people=6, folder=tmp_path)
