"""Methods that read one account: getAccountInfo, isAvailableLoginID, identifiers.find."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from landbridge.gigya_wire.replies import ApiError, Payload, invalid, missing
from landbridge.site.accounts import Account, decode
from landbridge.site.calls import Access, Call, Method, method
from landbridge.site.repository import Repository
from landbridge.site.store_session import AccountRow, Session
from landbridge.site.tokens import carries_token, session_uid

_ALWAYS: Final = (
    "UID", "created", "createdTimestamp", "lastUpdated", "lastUpdatedTimestamp", "lastLogin", "lastLoginTimestamp",
    "registered", "registeredTimestamp", "verified", "verifiedTimestamp", "oldestDataUpdated",
    "oldestDataUpdatedTimestamp", "isActive", "isRegistered", "isVerified", "lockedUntil", "loginProvider",
    "socialProviders", "phoneNumber",
)  # fmt: skip
_WHOLE_SECONDS: Final = ("createdTimestamp", "registeredTimestamp", "lastLoginTimestamp")
_EXTRA_PROFILE: Final = frozenset((
    "languages", "address", "phones", "education", "educationLevel", "honors", "publications", "patents",
    "certifications", "professionalHeadline", "bio", "industry", "specialties", "work", "skills", "religion",
    "politicalView", "interestedIn", "relationshipStatus", "hometown", "favorites", "followersCount",
    "followingCount", "username", "name", "locale", "verified", "timezone", "likes", "samlData",
))  # fmt: skip
_IN_DOC: Final[Mapping[str, str]] = {
    "loginIDs": "loginIDs",
    "emails": "emails",
    "data": "data",
    "preferences": "preferences",
    "lastLoginLocation": "lastLoginLocation",
    "regSource": "regSource",
    "irank": "iRank",
    "rba": "rbaPolicy",
}
_IN_EXTRA: Final = ("password", "groups", "internal", "customIdentifiers")
_DEFAULT_INCLUDE: Final = ("profile", "data")
_SCHEMAS: Final = "gigya.com/identifiers/"
_LOGIN_KINDS: Final = {"email": "emails", "username": "username", "phone": "phoneNumber"}


async def get_account_info(repository: Repository, call: Call) -> Payload:
    """accounts.getAccountInfo."""
    target = await _target(repository, call)
    repository.limits.begin_read(repository.switches, target)
    try:
        return await repository.store.look_up(lambda session: _info(session, call, target))
    finally:
        repository.limits.end_read(target)


async def is_available_login_id(repository: Repository, call: Call) -> Payload:
    """accounts.isAvailableLoginID."""
    wanted = call.parameters.required("loginID")
    row = await repository.store.look_up(lambda session: find_by_login(session, wanted))
    return {"isAvailable": row is None}


async def find_identifier(repository: Repository, call: Call) -> Payload:
    """accounts.identifiers.find: the UID behind an identifier."""
    schema, value = call.parameters.required("identifierSchema"), call.parameters.required("id")
    kind = schema.removeprefix(_SCHEMAS)

    def find(session: Session) -> AccountRow | None:
        if kind == "UID":
            return session.account(value)
        if kind not in _LOGIN_KINDS:
            raise invalid("identifierSchema", "is unknown")
        return session.account_by_login(_LOGIN_KINDS[kind], value.lower() if kind == "email" else value)

    row = await repository.store.look_up(find)
    if row is None:
        raise ApiError(404000, "There is no account with this identifier")
    return {"UID": row.uid}


def find_by_login(session: Session, login: str) -> AccountRow | None:
    """The account that logs in by an e-mail address, a user name or a phone number."""
    return (
        session.account_by_login("emails", login.lower())
        or session.account_by_login("username", login)
        or session.account_by_login("phoneNumber", login)
    )


async def _target(repository: Repository, call: Call) -> str:
    parameters = call.parameters
    if carries_token(call):
        by_token = await repository.store.look_up(lambda session: session_uid(session, call))
        if by_token is not None:
            return by_token
    if not call.caller.is_application:
        raise ApiError(403005, "Unauthorized user")
    uid = parameters.text("UID")
    if uid is not None:
        return uid
    wanted = parameters.object("findBy")
    if wanted is None:
        raise missing("UID")

    def find(session: Session) -> str | None:
        if isinstance(by_uid := wanted.get("_uid"), str):
            return by_uid
        for key, value in wanted.items():
            kind = {"_email": "emails", "_username": "username", "_phoneNumber": "phoneNumber"}.get(
                key, f"custom.{key}"
            )
            row = session.account_by_login(kind, str(value).lower() if kind == "emails" else str(value))
            if row is not None:
                return row.uid
        return None

    found = await repository.store.look_up(find)
    if found is None:
        raise ApiError(403005, "Unauthorized user")
    return found


def _info(session: Session, call: Call, uid: str) -> Payload:
    row = session.account(uid)
    if row is None:
        raise ApiError(403005, "Unauthorized user")
    return account_view(session, Account.of(row), call)


def account_view(session: Session, account: Account, call: Call) -> Payload:
    """An account as getAccountInfo shows it, with the parts that ``include`` names."""
    include = call.parameters.names("include") or _DEFAULT_INCLUDE
    doc = account.doc
    view: Payload = {name: doc[name] for name in _ALWAYS if name in doc}
    for name in _WHOLE_SECONDS:
        if isinstance(moment := view.get(name), int):
            view[name] = moment - moment % 1000
    for name in include:
        if name == "profile":
            extra = set(call.parameters.names("extraProfileFields"))
            profile = doc.get("profile", {})
            view["profile"] = {
                key: value for key, value in profile.items() if key not in _EXTRA_PROFILE or key in extra
            }
        elif name == "subscriptions":
            _add(view, "subscriptions", subscriptions_of(session, account.uid))
        elif name.startswith("identities"):
            _add(view, "identities", doc.get("identities"))
        elif name == "isLockedOut":
            view["isLockedOut"] = False
        elif name in _IN_DOC:
            _add(view, _IN_DOC[name], doc.get(_IN_DOC[name]))
        elif name in _IN_EXTRA:
            _add(view, name, account.extra.get(name))
    if call.parameters.text("includeCommunications") is not None:
        _add(view, "communications", account.extra.get("communications"))
    return view


def subscriptions_of(session: Session, uid: str) -> dict[str, Any]:
    """The subscriptions of an account."""
    row = session.email_account_of(uid)
    found: dict[str, Any] = decode(row.doc).get("subscriptions", {}) if row else {}
    return found


def _add(view: Payload, name: str, value: Any) -> None:
    if value is not None:
        view[name] = value


METHODS: Final[tuple[Method, ...]] = (
    method(
        "accounts.getAccountInfo",
        get_account_info,
        "UID regToken login_token oauth_token findBy include extraProfileFields includeCommunications",
        access=Access.USER,
    ),
    method("accounts.isAvailableLoginID", is_available_login_id, "loginID", access=Access.ANYONE),
    method("accounts.identifiers.find", find_identifier, "identifierSchema id"),
)
