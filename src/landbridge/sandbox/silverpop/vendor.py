"""The emulated platform: token endpoint, XML API, and the folders of its SFTP user."""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from landbridge.sandbox.faults import Strikes
from landbridge.sandbox.silverpop import contacts, exports, imports, lists, tables
from landbridge.sandbox.silverpop.databases import (
    COUNTRY,
    DATE,
    NUMERIC,
    SMS_PHONE,
    TEXT,
    YES_NO,
    Database,
    Databases,
)
from landbridge.sandbox.silverpop.envelope import (
    ADMIN,
    API,
    Element,
    Fault,
    Result,
    document,
    operations,
    tags,
    text_of,
)
from landbridge.sandbox.silverpop.jobs import Jobs, get_job_status
from landbridge.sandbox.vendor import Frame, Table, Vendor

TOKEN_LIFE_S: Final = 4 * 3600
SAME_TOKEN_S: Final = 3 * 3600
"""Within this time the same token is given again."""

DEFAULT_DATABASE: Final = "Customers"
_COLUMNS: Final = {
    "UID": TEXT,
    "First Name": TEXT,
    "Last Name": TEXT,
    "City": TEXT,
    "ZIP": TEXT,
    "Country": COUNTRY,
    "Gender": TEXT,
    "Birthday": DATE,
    "Newsletter": YES_NO,
    "Active": YES_NO,
    "Score": NUMERIC,
    "Lead Rank": TEXT,
    "SMS Phone Number": SMS_PHONE,
}

Operation = Callable[["Silverpop", Element], Result]
OPERATIONS: Final[Mapping[str, Operation]] = {
    "AddRecipient": contacts.add_recipient,
    "UpdateRecipient": contacts.update_recipient,
    "RemoveRecipient": contacts.remove_recipient,
    "OptOutRecipient": contacts.opt_out_recipient,
    "DoubleOptInRecipient": contacts.double_opt_in_recipient,
    "SelectRecipientData": contacts.select_recipient_data,
    "CreateContactList": contacts.create_contact_list,
    "AddContactToContactList": contacts.add_contact_to_contact_list,
    "GetLists": lists.get_lists,
    "GetListMetaData": lists.get_list_meta_data,
    "AddListColumn": lists.add_list_column,
    "ImportList": imports.import_list,
    "ExportList": exports.export_list,
    "GetJobStatus": get_job_status,
    "CreateTable": tables.create_table,
    "JoinTable": tables.join_table,
    "ImportTable": tables.import_table,
    "InsertUpdateRelationalTable": tables.insert_update,
    "DeleteRelationalTableData": tables.delete_rows,
    "PurgeTable": tables.purge_table,
    "DeleteTable": tables.delete_table,
}
"""What the API can do here; other operations are answered as unknown."""


@dataclass(frozen=True, slots=True)
class Switches:
    """How the platform behaves where nobody outside knows for certain, and its limits.

    Attributes:
        api_user_zone: The time zone of the API user, in which all dates are read and written.
        organization_encoding: What an import or export without FILE_ENCODING uses.
        import_resubscribes: An import that updates a contact who had opted out opts the contact in again.
        created_from_2_resubscribes: So does AddRecipient with CREATED_FROM 2.
        added_contacts_are_opted_in: AddRecipient with another CREATED_FROM makes an opted-in contact.
        empty_flag_is_true: An element such as ``<UPDATE_IF_FOUND />`` without a text means true.
        reasons_in_error_file: Each line of an ``.err`` file ends with the reason.
        concurrent_calls: Calls at a time for the whole organisation; more are refused.
        max_table_rows: Rows in all relational tables together.
        call_delay_s: How long a call takes at least.
        job_delay_s: How long a job takes at least.
    """

    api_user_zone: str = "GMT"
    organization_encoding: str = "ISO-8859-1"
    import_resubscribes: bool = False
    created_from_2_resubscribes: bool = True
    added_contacts_are_opted_in: bool = True
    empty_flag_is_true: bool = True
    reasons_in_error_file: bool = False
    concurrent_calls: int = 10
    max_table_rows: int = 10_000_000
    call_delay_s: float = 0.0
    job_delay_s: float = 0.05


class Silverpop(Vendor):
    """Silverpop Engage, today Acoustic Campaign."""

    name = "silverpop"
    title = "Silverpop (Acoustic Campaign)"
    folders = (imports.UPLOAD, imports.DOWNLOAD)
    faults: ClassVar[Strikes] = {
        "token_expiry": ("*",),
        "concurrency": ("*",),
        "rate_limit": ("*",),
        "partial_failure": ("ImportList", "ImportTable", "InsertUpdateRelationalTable", "DeleteRelationalTableData"),
        "lost_reply": ("*",),
        "slow_job": ("ImportList", "ExportList", "ImportTable", "JoinTable", "PurgeTable", "DeleteTable"),
        "broken_file": ("ImportList", "ImportTable", "ExportList"),
    }
    Switches = Switches

    def __init__(self, frame: Frame) -> None:
        super().__init__(frame)
        self.databases = Databases(frame)
        self.tables_ = tables.Tables(frame)
        self.contact_lists = frame.collection("contactLists")
        self.jobs = Jobs(self)
        self.organization = frame.secret("organization")[:12]
        self._tokens: dict[str, float] = {}
        self._sessions: set[str] = set()
        self._running = 0
        self._calls: Counter[str] = Counter()
        if not frame.collection("lists"):
            self.databases.create(DEFAULT_DATABASE, _COLUMNS, keys=("UID",))

    @property
    def database(self) -> Database:
        """The first database."""
        return next(iter(self.databases))

    def routes(self) -> list[BaseRoute]:
        """The token endpoint and the XML API, also with a session in its path."""
        return [
            Route("/oauth/token", self._token, methods=["POST"]),
            Route("/XMLAPI", self._call, methods=["POST"]),
            Route("/XMLAPI;jsessionid={session}", self._call, methods=["POST"]),
        ]

    def connection(self) -> dict[str, str]:
        """Parameters of the components."""
        sftp = self.frame.sftp
        return {
            "url": self.frame.url,
            "clientId": self.frame.secret("clientId"),
            "clientSecret": self.frame.secret("clientSecret"),
            "refreshToken": self.frame.secret("refreshToken"),
            "host": sftp.host,
            "port": str(sftp.port),
            "username": sftp.username,
            "password": sftp.password,
            "hostKey": sftp.host_key,
            "listId": self.database.id,
        }

    def tables(self) -> Iterable[Table]:
        """Contacts of each database, rows of each table, how often what was called since the start, jobs."""
        for each in self.databases:
            rows = [
                {
                    "id": number,
                    **contact["columns"],
                    "opted in": contact["optedIn"],
                    "opted out": contact["optedOut"],
                    "modified": contact["modified"],
                }
                for number, contact in each.contacts.items()
            ]
            yield Table("contacts" if each.id == self.database.id else f"contacts of {each.name}", rows)
        for table in self.tables_:
            yield Table(f"table {table.facts['name']}", list(table.rows.values()))
        yield Table("calls", [{"operation": name, "number": number} for name, number in self._calls.items()])
        yield Table("jobs", [{"id": number, **job} for number, job in self.jobs.all.items()])

    async def _token(self, request: Request) -> Response:
        self._calls["token"] += 1
        form = await request.form()
        wanted = {
            "client_id": self.frame.secret("clientId"),
            "client_secret": self.frame.secret("clientSecret"),
            "refresh_token": self.frame.secret("refreshToken"),
        }
        if form.get("grant_type") != "refresh_token":
            return JSONResponse({"error": "unsupported_grant_type"}, status_code=400)
        if not all(_equal(str(form.get(name, "")), value) for name, value in wanted.items()):
            problem = {"error": "invalid_grant", "error_description": "Invalid refresh token or client."}
            return JSONResponse(problem, status_code=400)
        now = time.monotonic()
        young = [token for token, begun in self._tokens.items() if now - begun < SAME_TOKEN_S]
        token = young[-1] if young else secrets.token_urlsafe(24)
        begun = self._tokens.setdefault(token, now)
        answer = {
            "access_token": token,
            "token_type": "bearer",
            "refresh_token": wanted["refresh_token"],
            "expires_in": int(begun + TOKEN_LIFE_S - now),
        }
        return self.frame.reply("token", JSONResponse(answer))

    async def _call(self, request: Request) -> Response:
        content = await request.body()
        if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            content = str((await request.form()).get("xml", "")).encode()
        try:
            asked = operations(content)
        except Fault as fault:
            return _xml(document([fault]))
        names = [each.tag for each in asked]
        operation = names[0]
        self._calls.update(names)
        if self.frame.strike("rate_limit", operation):
            return PlainTextResponse("Too Many Requests", status_code=429, headers={"Retry-After": "1"})
        if self._running >= self.switches.concurrent_calls or self.frame.strike("concurrency", operation):
            limit = self.switches.concurrent_calls
            text = f"This organization has reached its max number of concurrent authenticated requests: {limit}"
            return _xml(document([Fault(text, None, API)]))
        if names == ["Login"]:
            return _xml(document([self._login(asked[0])]))
        token = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        session = request.path_params.get("session", "")
        if self.frame.strike("token_expiry", operation):
            self._tokens.pop(token, None)
            self._sessions.discard(session)
        if not self._is_known(token, session):
            return _xml(document([Fault("Session has expired or is invalid", 145, ADMIN)]))
        self._running += 1
        try:
            await asyncio.sleep(self.switches.call_delay_s)
            done = [self._done(each) for each in asked]
        finally:
            self._running -= 1
        return self.frame.reply(operation, _xml(document(done)))

    def _done(self, request: Element) -> Result | Fault:
        operation = OPERATIONS.get(request.tag)
        if operation is None:
            return Result("", success="true") if request.tag == "Logout" else Fault("Invalid XML Request", 51, API)
        try:
            return operation(self, request)
        except Fault as fault:
            return fault

    def _login(self, request: Element) -> Result | Fault:
        sftp = self.frame.sftp
        user, password = text_of(request, "USERNAME"), text_of(request, "PASSWORD")
        if not (_equal(user, sftp.username) and _equal(password, sftp.password)):
            return Fault("Unable to login user. Reason: bad password 127.0.0.1", 140, ADMIN)
        session = secrets.token_hex(16)
        self._sessions.add(session)
        facts = {
            "SESSIONID": session,
            "ORGANIZATION_ID": self.organization,
            "SESSION_ENCODING": f";jsessionid={session}",
        }
        return Result(tags(facts), success="true")

    def _is_known(self, token: str, session: str) -> bool:
        begun = self._tokens.get(token)
        return session in self._sessions or (begun is not None and time.monotonic() - begun < TOKEN_LIFE_S)

    def create_database(self, name: str, columns: Mapping[str, int], *, keys: tuple[str, ...] = ()) -> Database:
        """Add a database, as people do in the platform's own pages; see ``Databases.create``."""
        return self.databases.create(name, columns, keys=keys)


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _xml(content: bytes) -> Response:
    return Response(content, media_type="text/xml;charset=UTF-8")
