"""The emulated CheetahMail, asked by plain requests as public clients ask, and fed with files."""

import csv
import http.client
import io
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

import anyio
import asyncssh
import pytest

from tests.contract.sandbox.running import running_sandbox

VENDOR, LIST = "cheetahmail", "2094099241"


@pytest.fixture(scope="module")
def one_sandbox():
    with running_sandbox(VENDOR) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(one_sandbox):
    one_sandbox.do(empty)
    one_sandbox.switch(VENDOR, export_delay_s=0.01)
    yield one_sandbox
    one_sandbox.idle()
    one_sandbox.calm(VENDOR)


def empty(sandbox):
    own = sandbox[VENDOR]
    for number in list(own.subscribers.records):
        own.subscribers.delete(number)
    for kept in (own.subscribers.suppressed, own.subscribers.events, own.loads):
        kept.clear()
    for file in (own.frame.folder / "export").iterdir():
        file.unlink()


class Api:
    """A client as thin as those that are public."""

    def __init__(self, connection):
        self.connection, self.cookie = connection, ""

    def send(self, path, body, kind="application/x-www-form-urlencoded"):
        headers = {"Content-Type": kind, "Cookie": self.cookie}
        request = urllib.request.Request(self.connection["url"] + path, body, headers)
        with urllib.request.urlopen(request, timeout=30) as reply:
            cookie = reply.headers.get("Set-Cookie")
            self.cookie = cookie.partition(";")[0] if cookie else self.cookie
            assert reply.headers["Content-Type"].startswith("text/plain")
            return reply.read().decode()

    def __call__(self, operation, *pairs, **given):
        return self.send(f"/api/{operation}", urllib.parse.urlencode([*pairs, *given.items()]).encode())

    def log_in(self, **change):
        given = {"name": self.connection["apiUser"], "cleartext": self.connection["apiPassword"], **change}
        return self("login1", **given)

    def upload(self, operation, content, **given):
        mark = uuid.uuid4().hex
        parts = [f'--{mark}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in given.items()]
        parts.append(f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="f.csv"\r\n\r\n{content}\r\n')
        body = "".join(parts) + f"--{mark}--\r\n"
        return self.send(f"/cgi-bin/api/{operation}", body.encode(), f"multipart/form-data; boundary={mark}")


@pytest.fixture
def api(sandbox):
    api = Api(sandbox.connection(VENDOR))
    assert api.log_in() == "OK"
    return api


def people(sandbox):
    return {row["EMAIL"]: row for row in sandbox.rows(VENDOR, "subscribers")}


def state(sandbox, email):
    """Whether somebody is on the list, and why not; None for never."""
    fact = people(sandbox)[email]["lists"].get(LIST)
    return None if fact is None else fact["reason"] or "on"


# -- the API -----------------------------------------------------------------------------------------------------------


def test_a_login_gives_a_cookie_without_which_nothing_is_told(api):
    assert api("getuser1", email="a@example.com") == "err:email:noexist"
    assert Api(api.connection)("getuser1", email="a@example.com") == "err:auth"
    assert Api(api.connection).log_in(cleartext="wrong") == "err:auth"


def test_a_login_may_stand_in_the_address(api):
    other = Api(api.connection)
    query = urllib.parse.urlencode({"name": api.connection["apiUser"], "cleartext": api.connection["apiPassword"]})
    assert other.send(f"/api/login1?{query}", None) == "OK"
    assert other("getuser1", email="a@example.com") == "err:email:noexist"


def test_a_session_ends(sandbox, api):
    sandbox.switch(VENDOR, session_life_s=0)
    assert api("getuser1", email="a@example.com") == "err:auth"


def test_a_subscriber_is_made_changed_and_shown_in_lines(api):
    assert api("setuser1", email="A@example.com", FNAME="Ada", CITY="Bern", sub=LIST) == "OK"
    assert api("setuser1", email="a@EXAMPLE.com", CITY="") == "OK"
    lines = api("getuser1", email="a@example.com").split("\r\n")
    assert lines[:2] == ["EMAIL=a@EXAMPLE.com", "FNAME=Ada"]
    assert f"sub={LIST}&date={time.strftime('%d-%b-%Y', time.gmtime())}" in lines
    assert not any(line.startswith("CITY") for line in lines), "an empty value empties the field"


def test_a_new_address_is_given_to_the_same_subscriber(sandbox, api):
    api("setuser1", email="a@example.com", UID="u1", sub=LIST)
    api("setuser1", email="b@example.com", UID="u2")
    assert api("setuser1", email="a@example.com", newemail="b@example.com") == "err:newemail:illegal"
    assert api("setuser1", email="x@example.com", newemail="y@example.com") == "err:email:noexist"
    assert api("setuser1", email="a@example.com", newemail="c@example.com") == "OK"
    assert {email: row["UID"] for email, row in people(sandbox).items()} == {
        "b@example.com": "u2",
        "c@example.com": "u1",
    }
    assert state(sandbox, "c@example.com") == "on"


def test_a_taken_address_may_also_be_merged(sandbox, api):
    sandbox.switch(VENDOR, taken_address_is_merged=True)
    api("setuser1", email="a@example.com", UID="u1")
    api("setuser1", email="b@example.com", UID="u2")
    assert api("setuser1", email="a@example.com", newemail="b@example.com") == "OK"
    assert [row["UID"] for row in people(sandbox).values()] == ["u1"]


@pytest.mark.parametrize("refuses", [False, True])
def test_who_has_left_a_list_may_be_put_back_unless_the_platform_refuses(sandbox, api, refuses):
    sandbox.switch(VENDOR, refuses_resubscription=refuses)
    api("setuser1", email="a@example.com", sub=LIST)
    api("setuser1", email="a@example.com", unsub=LIST)
    assert state(sandbox, "a@example.com") == "i"
    assert api("setuser1", email="a@example.com", sub=LIST) == ("err:resub:illegal" if refuses else "OK")
    assert state(sandbox, "a@example.com") == ("i" if refuses else "on")


def test_subscriptions_may_be_given_as_the_complete_set_and_tried_without_effect(sandbox, api):
    other = sandbox.do(lambda own: own[VENDOR].lists.__setitem__("77", {"name": "Offers"})) or "77"
    assert api("setuser1", ("sub", LIST), ("sub", other), email="a@example.com") == "OK"
    assert api("setuser1", email="a@example.com", sub=other, a=1, test=1) == "OK"
    assert state(sandbox, "a@example.com") == "on"
    assert api("setuser1", email="a@example.com", sub=other, a=1) == "OK"
    assert state(sandbox, "a@example.com") == "i"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "err:email:missing"),
        ({"email": "nonsense"}, "err:email:illegal"),
        ({"email": "stopped@example.com"}, "err:email:blocked"),
        ({"email": "a@example.com", "newemail": "nonsense"}, "err:newemail:illegal"),
        ({"email": "a@example.com", "newemail": "stopped@example.com"}, "err:newemail:blocked"),
        ({"email": "a@example.com", "sub": "x"}, "err:sub:non-numeric"),
        ({"email": "a@example.com", "unsub": "x"}, "err:unsub:non-numeric"),
        ({"email": "a@example.com", "HTML": "maybe"}, "err:HTML:invalid"),
        ({"email": "a@example.com", "NONSENSE": "x"}, "err:field:name:illegal"),
        ({"email": "a@example.com", "CITY": "x" * 256}, "err:data:value too large for column"),
        ({"email": "a@example.com", "SCORE": "1.5"}, "err:data:invalid number"),
        ({"email": "a@example.com", "BIRTHDAY": "2015-01-01"}, "err:data:invalid date"),
        ({"email": "a@example.com", "aid": "1"}, "err:aid:illegal"),
    ],
)
def test_what_cannot_be_taken_is_told_in_text_and_changes_nothing(sandbox, api, given, told):
    sandbox.do(lambda own: own[VENDOR].subscribers.suppressed.update({"stopped@example.com": {"reason": "a"}}))
    api("setuser1", email="a@example.com", CITY="Bern")
    before = people(sandbox)
    assert api("setuser1", **given) == told
    assert people(sandbox) == before


def test_many_are_unsubscribed_by_a_file_from_a_list_or_for_good(sandbox, api):
    for name in "abc":
        api("setuser1", email=f"{name}@example.com", sub=LIST)
    assert api.upload("unsub1", "a@example.com\nnobody@example.com\n", unsub=LIST) == "OK"
    assert api.upload("unsub1", "b@example.com\n") == "OK"
    assert [state(sandbox, f"{name}@example.com") for name in "abc"] == ["k", "k", "on"]
    assert api("setuser1", email="a@example.com", CITY="Bern") == "OK"
    assert api("setuser1", email="b@example.com", CITY="Bern") == "err:email:blocked"


def test_lists_are_made_and_named(api):
    number = api.send("/cgi-bin/api/setlist1", b"name=Offers")
    assert f"list={number}&name=Offers" in api.send("/cgi-bin/api/getlist1", b"").split("\r\n")


def test_faults_are_answered_in_the_words_of_the_platform(sandbox, api):
    sandbox.fail("token_expiry", times=1)
    assert api("getuser1", email="a@example.com") == "err:auth"
    api.log_in()
    sandbox.fail("concurrency", times=1)
    assert api("getuser1", email="a@example.com") == "err:internal error"
    sandbox.fail("rate_limit", times=1)
    with pytest.raises(urllib.error.HTTPError, match="503"):
        api("getuser1", email="a@example.com")
    sandbox.fail("lost_reply", operation="setuser1", times=1)
    with pytest.raises(http.client.IncompleteRead):
        api("setuser1", email="a@example.com")
    assert "a@example.com" in people(sandbox), "the work is done"


# -- files -------------------------------------------------------------------------------------------------------------


def put(sandbox, name, text):
    """Upload a file by SFTP, and wait until it is loaded; gives what became of the load."""
    connection = sandbox.connection(VENDOR)

    async def run():
        login = {"username": connection["username"], "password": connection["password"]}
        async with (
            asyncssh.connect(
                connection["host"], int(connection["port"]), known_hosts=None, config=None, **login
            ) as session,
            session.start_sftp_client() as client,
            client.open(f"upload/{name}", "wb") as file,
        ):
            await file.write(text.encode())

    anyio.run(run)
    sandbox.idle()
    loads = sandbox.rows(VENDOR, "loads")
    return loads[-1] if loads else None


def exported(sandbox, kind):
    """Rows of all exports of a kind."""
    sandbox.do(lambda own: own[VENDOR].export())
    sandbox.idle()
    folder = sandbox.do(lambda own: own[VENDOR].frame.folder) / "export"
    return [
        row for file in sorted(folder.glob(f"{kind}_*.csv")) for row in csv.DictReader(io.StringIO(file.read_text()))
    ]


def test_rows_add_change_unsubscribe_and_delete_by_their_uid(sandbox):
    name = f"subscribers_{LIST}_1.csv"
    load = put(
        sandbox, name, "UID,EMAIL,CITY,ACTION\nu1,a@example.com,Bern,A\nu2,b@example.com,Rom,U\nu3,c@example.com,,A\n"
    )
    assert (load["STATUS"], load["LOADED"], load["REFUSED"]) == ("done", "3", "0")
    assert [state(sandbox, f"{each}@example.com") for each in "abc"] == ["on", "k", "on"]
    put(sandbox, name, "UID,EMAIL,CITY,ACTION\nu1,new@example.com,,A\nu3,,,D\nu9,,,D\n")
    assert set(people(sandbox)) == {"new@example.com", "b@example.com"}
    assert people(sandbox)["new@example.com"]["CITY"] == "Bern", "an empty cell leaves the field alone in a list"


def test_a_load_into_the_master_list_empties_fields_and_subscribes_nobody(sandbox, api):
    api("setuser1", email="a@example.com", UID="u1", CITY="Bern")
    put(sandbox, "subscribers_0_1.csv", "UID,EMAIL,CITY\nu1,a@example.com,\nu2,b@example.com,Rom\n")
    assert "CITY" not in people(sandbox)["a@example.com"]
    assert [state(sandbox, f"{each}@example.com") for each in "ab"] == [None, None]


@pytest.mark.parametrize(("switch", "wanted"), [(False, "w"), (True, "on")])
def test_whether_a_load_puts_back_who_has_left_is_a_switch(sandbox, api, switch, wanted):
    sandbox.switch(VENDOR, load_resubscribes=switch)
    api("setuser1", email="a@example.com", UID="u1", sub=LIST)
    sandbox.do(
        lambda own: own[VENDOR].subscribers.unsubscribe(own[VENDOR].subscribers.find("a@example.com"), LIST, "w")
    )
    put(sandbox, f"subscribers_{LIST}_1.csv", "UID,EMAIL,ACTION\nu1,a@example.com,A\n")
    assert state(sandbox, "a@example.com") == wanted


def test_a_row_without_an_action_is_subscribed_unless_switched_off(sandbox):
    put(sandbox, f"subscribers_{LIST}_1.csv", "UID,EMAIL\nu1,a@example.com\n")
    sandbox.switch(VENDOR, load_subscribes=False)
    put(sandbox, f"subscribers_{LIST}_2.csv", "UID,EMAIL\nu2,b@example.com\n")
    assert [state(sandbox, f"{each}@example.com") for each in "ab"] == ["on", None]


def test_bad_rows_are_refused_alone_and_told_with_their_number(sandbox, api):
    api("setuser1", email="taken@example.com", UID="u8")
    rows = [
        "u1,a@example.com,1,A",
        "u2,nonsense,1,A",
        "u3,c@example.com,x,A",
        "u4,taken@example.com,1,A",
        "u5,e@example.com,1,Z",
    ]
    load = put(sandbox, f"subscribers_{LIST}_1.csv", "\n".join(["UID,EMAIL,SCORE,ACTION", *rows]))
    assert [(each["ROW"], each["REASON"]) for each in load["refused"]] == [
        ("2", "err:email:illegal"),
        ("3", "err:data:invalid number"),
        ("4", "err:email:illegal"),
        ("5", "err:field:modifier:illegal"),
    ]
    assert set(people(sandbox)) == {"a@example.com", "taken@example.com"}
    [event] = exported(sandbox, "loader_events")
    assert (event["LOADED"], event["REFUSED"]) == ("1", "4")


def test_a_file_with_an_unknown_column_or_list_loads_nothing(sandbox):
    assert "NONSENSE" in put(sandbox, f"subscribers_{LIST}_1.csv", "UID,EMAIL,NONSENSE\nu1,a@example.com,x\n")["STATUS"]
    assert "no such list" in put(sandbox, "subscribers_5_1.csv", "UID,EMAIL\nu1,a@example.com\n")["STATUS"]
    assert people(sandbox) == {}


def test_the_layout_of_load_files_is_what_was_agreed(sandbox):
    agreed = {"load_pattern": r"in\.txt", "load_list": LIST, "load_delimiter": "|", "action_column": "OP"}
    sandbox.switch(VENDOR, match_column="EMAIL", **agreed)
    assert put(sandbox, f"subscribers_{LIST}_1.csv", "UID,EMAIL\nu1,a@example.com\n") is None
    put(sandbox, "in.txt", "EMAIL|CITY|OP\na@example.com|Bern|A\nb@example.com|Rom|U\n")
    assert [state(sandbox, f"{each}@example.com") for each in "ab"] == ["on", "k"]


def test_load1_takes_the_same_file_into_a_list_or_the_master_list(sandbox, api):
    assert api.upload("load1", "UID,EMAIL\nu1,a@example.com\n", sub=LIST) == "OK"
    assert api.upload("load1", "UID,EMAIL\nu2,b@example.com\n") == "OK"
    sandbox.idle()
    assert [state(sandbox, f"{each}@example.com") for each in "ab"] == ["on", None]
    assert api.send("/cgi-bin/api/load1", b"sub=0") == "err:file:missing"


def test_exports_tell_what_people_did_with_reasons_once(sandbox, api):
    for number, name in enumerate("abcd"):
        api("setuser1", email=f"{name}@example.com", UID=f"u{number}", CITY="Bern", sub=LIST)

    def act(own):
        known = own[VENDOR].subscribers
        known.unsubscribe(known.find("a@example.com"), LIST, "w")
        known.unsubscribe(known.find("b@example.com"), LIST, "a")
        known.delete(known.find("c@example.com"))
        known.write(known.find("d@example.com"), "dd@example.com", {"CITY": "Rom"}, by="person")

    sandbox.do(act)
    assert api("setuser1", email="b@example.com") == "err:email:blocked", "a complaint is final"
    assert [(row["UID"], row["REASON"]) for row in exported(sandbox, "unsubscribes")] == [
        ("u0", "w"),
        ("u1", "a"),
        ("u2", "d"),
    ]
    [moved] = exported(sandbox, "address_changes")
    assert (moved["UID"], moved["OLD_EMAIL"], moved["EMAIL"]) == ("u3", "d@example.com", "dd@example.com")
    [changed] = exported(sandbox, "changes")
    assert (changed["UID"], changed["EMAIL"], changed["CITY"]) == ("u3", "dd@example.com", "Rom")


def test_changes_by_the_api_are_exported_only_where_switched_on(sandbox, api):
    api("setuser1", email="a@example.com", UID="u1")
    assert exported(sandbox, "changes") == []
    sandbox.switch(VENDOR, exports_own_changes=True)
    api("setuser1", email="b@example.com", UID="u2")
    assert [row["UID"] for row in exported(sandbox, "changes")] == ["u2"]


def test_an_export_that_is_cut_off_is_whole_a_moment_later(sandbox, api):
    sandbox.fail("broken_file", operation="unsubscribes", times=1)
    api("setuser1", email="a@example.com", UID="u1", sub=LIST)
    folder = sandbox.do(lambda own: own[VENDOR].frame.folder) / "export"
    cut = sandbox.do(lambda own: left_and_exported(own[VENDOR], "a@example.com", folder))
    sandbox.idle()
    [file] = folder.glob("unsubscribes_*.csv")
    assert file.read_text().startswith(cut)
    assert len(cut) < len(file.read_text())
    assert [row["UID"] for row in exported(sandbox, "unsubscribes")] == ["u1"]


def left_and_exported(own, email, folder):
    """Somebody leaves the list, and the export is written in the same moment; gives its text."""
    own.subscribers.unsubscribe(own.subscribers.find(email), LIST, "w")
    own.export()
    [file] = folder.glob("unsubscribes_*.csv")
    return file.read_text()


def test_the_link_in_a_mail_unsubscribes(sandbox, api):
    api("setuser1", email="a@example.com", sub=LIST)
    with urllib.request.urlopen(f"{api.connection['url']}/r/unsub?email=a@example.com", timeout=30) as reply:
        assert reply.status == 200
    assert state(sandbox, "a@example.com") == "w"
