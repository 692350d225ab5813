"""Methods that write full accounts: setAccountInfo, importFullAccount, deleteAccount."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from landbridge.gigya_wire.replies import ApiError, Payload, invalid, missing
from landbridge.search.parser import literal
from landbridge.search.query import Compare, Comparison
from landbridge.site import consents
from landbridge.site.accounts import (
    EMAIL,
    MOMENTS,
    NEVER,
    Account,
    decode,
    load,
    login_ids,
    merge,
    new_account,
    put_email,
    save,
    set_moment,
)
from landbridge.site.calls import Access, Call, Method, method
from landbridge.site.passwords import import_password, new_password
from landbridge.site.repository import Repository
from landbridge.site.schema import Violation, coerced, leaves, refuse
from landbridge.site.store_session import EmailRow, Session
from landbridge.site.tokens import session_uid

_UID: Final = re.compile(r"[!-~]{1,252}")
_OBJECTS: Final = (
    "profile", "data", "subscriptions", "preferences", "communications", "customIdentifiers", "internal",
)  # fmt: skip
_LAST_MS: Final = 253_402_300_799_999
"""The end of the year 9999."""

_POLICIES: Final = ("insert", "upsert")


async def set_account_info(repository: Repository, call: Call) -> Payload:
    """accounts.setAccountInfo: named fields change, others stay, a null deletes, arrays are replaced."""
    given = {name: call.parameters.object(name) for name in (*_OBJECTS, "rba")}

    def change(session: Session) -> Payload:
        own = session_uid(session, call)
        uid = own or (call.parameters.text("UID") if call.caller.is_application else None)
        if uid is None:
            raise missing("UID") if call.caller.is_application else ApiError(403005, "Unauthorized user")
        client = own is not None and not call.caller.is_application
        account = load(session, uid)
        before = account.doc.get("isRegistered")
        change_content(repository, session, account, given, client=client)
        conflict = _change_login(account, call, session)
        _change_flags(account, call)
        language = call.parameters.text("lang")
        change_preferences(account, given, now_ms=call.now_ms, language=language, is_import=False)
        account.touch(call.now_ms)
        save(session, account, call.now_ms)
        keep_email_account(repository, session, account, given["subscriptions"], now_ms=call.now_ms, is_import=False)
        repository.announce(session, call, "accountUpdated", uid=uid)
        if given["subscriptions"]:
            repository.announce(session, call, "subscriptionUpdated", uid=uid)
        if given["preferences"]:
            repository.announce(session, call, "consentUpdated", uid=uid)
        if not before and account.doc.get("isRegistered"):
            repository.announce(session, call, "accountRegistered", uid=uid)
        if conflict:
            return {"UID": uid, "conflict": True}
        return {"UID": uid}

    payload = await repository.write(call, change)
    if payload.pop("conflict", False):
        raise ApiError(200010, "The profile was saved; the login identifier belongs to another account")
    return {}


async def import_full_account(repository: Repository, call: Call) -> Payload:
    """accounts.importFullAccount."""
    parameters = call.parameters
    policy = parameters.text("importPolicy") or "insert"
    if policy not in _POLICIES:
        raise invalid("importPolicy", "is neither insert nor upsert")
    uid = parameters.text("UID")
    if uid is None and not parameters.boolean("createUID"):
        raise missing("UID")
    if uid is not None and not _UID.fullmatch(uid):
        raise invalid("UID", "is not up to 252 printable ASCII characters")
    if uid is not None:
        repository.limits.count_import(repository.switches, uid)
    given = {name: parameters.object(name) for name in _OBJECTS}
    whole = {name: parameters.object(name) for name in ("loginIDs", "emails", "lastLoginLocation")}
    identities = parameters.json("identities")
    if identities is not None and not isinstance(identities, list):
        raise invalid("identities", "is not an array")
    password = parameters.object("password")
    moments = {name: _moment(parameters.text(name), name) for name in MOMENTS}

    def bring_in(session: Session) -> Payload:
        row = session.account(uid) if uid is not None else None
        if row is not None and policy == "insert":
            raise ApiError(400003, "The UID already exists")
        account = Account.of(row) if row is not None else new_account(uid, call.now_ms)
        change_content(repository, session, account, given, client=False)
        _import_whole(account, whole, identities)
        if password is not None:
            account.extra["password"] = import_password(password, call.now_ms)
        _import_flags(account, call, is_new=row is None)
        account.touch(call.now_ms)
        for name, moment in moments.items():
            if moment is not None:
                set_moment(account.doc, name, moment)
        account.doc.setdefault("lastLogin", NEVER)
        account.doc.setdefault("lastLoginTimestamp", 0)
        change_preferences(account, given, now_ms=call.now_ms, language=parameters.text("lang"), is_import=True)
        save(session, account, call.now_ms)
        keep_email_account(repository, session, account, given["subscriptions"], now_ms=call.now_ms, is_import=True)
        if given["subscriptions"]:
            repository.announce(session, call, "subscriptionUpdated", uid=account.uid)
        return {"UID": account.uid}

    return await repository.write(call, bring_in)


async def delete_account(repository: Repository, call: Call) -> Payload:
    """accounts.deleteAccount: the account goes, a lite account of the same address stays."""
    uid = call.parameters.required("UID")

    def delete(session: Session) -> Payload:
        account = load(session, uid)
        if account.id is not None:
            session.delete_account(account.id)
        session.delete_objects_of(uid)
        for kind in ("counters", "loyalty"):
            session.delete_document(kind, uid)
        row = session.email_account_of(uid)
        if row is not None:
            doc = decode(row.doc)
            if doc.get("hasLiteAccount"):
                put_email(session, email=row.email, doc=doc, row=row, uid=uid, full=False, now_ms=call.now_ms)
            else:
                session.delete_email_account(row.id)
        repository.announce(session, call, "accountDeleted", uid=uid)
        return {}

    return await repository.write(call, delete)


def change_content(
    repository: Repository,
    session: Session,
    account: Account,
    given: Mapping[str, dict[str, Any] | None],
    *,
    client: bool,
) -> None:
    """Put profile, data and the like into an account after a check against the schemas.

    Raises:
        ApiError: 400009 or 400020 with ``validationErrors``.
    """
    violations: list[Violation] = []
    for section in ("profile", "data"):
        changes = given.get(section)
        if changes:
            schema = repository.schemas[f"{section}Schema"]
            violations += schema.check(changes, section=section, client=client)
            if not violations:
                merge(account.doc.setdefault(section, {}), coerced(schema, changes))
    refuse(violations)
    email = account.doc.get("profile", {}).get("email")
    if email is not None and not (isinstance(email, str) and EMAIL.fullmatch(email)):
        refuse([Violation(400026, "profile.email", "email is not an e-mail address")])
    refuse(_not_unique(repository, session, account, given))
    for name in ("internal", "customIdentifiers"):
        if changes := given.get(name):
            merge(account.extra.setdefault(name, {}), changes)
    if changes := given.get("rba"):
        account.doc["rbaPolicy"] = changes


def change_preferences(
    account: Account, given: Mapping[str, dict[str, Any] | None], *, now_ms: int, language: str | None, is_import: bool
) -> None:
    """Apply preferences and communications.

    Raises:
        ApiError: 400006 or 400002; see the module ``consents``.
    """
    if changes := given.get("preferences"):
        current = account.doc.setdefault("preferences", {})
        consents.consent(current, changes, now_ms=now_ms, language=language, is_import=is_import)
    if changes := given.get("communications"):
        consents.communicate(account.extra.setdefault("communications", {}), changes, now_ms=now_ms)


def keep_email_account(
    repository: Repository,
    session: Session,
    account: Account,
    subscriptions: dict[str, Any] | None,
    *,
    now_ms: int,
    is_import: bool,
) -> None:
    """Apply subscriptions, and keep the row of the account's e-mail address in step with the account.

    Raises:
        ApiError: 400003 for an address of another account, 400006 or 400009 as in the module ``consents``.
    """
    row, email = session.email_account_of(account.uid), account.email
    if email is None:
        if subscriptions:
            raise invalid("subscriptions", "the account has no e-mail address")
        if row is not None:
            session.delete_email_account(row.id)
        return
    if row is not None and row.email == email and not subscriptions:
        return
    doc: dict[str, Any] = decode(row.doc) if row is not None else {}
    target: EmailRow | None = row
    if row is None or row.email != email:
        target = session.email_account(email)
        if target is not None and target.full and target.uid != account.uid:
            # Two accounts share an address; the subscriptions belong to the one that had it first.
            if subscriptions:
                raise ApiError(400003, "The e-mail address belongs to another account")
            return
        if row is not None:
            session.delete_email_account(row.id)
        if target is not None:
            lite = decode(target.doc)
            doc = {**lite, **doc, "subscriptions": {**lite.get("subscriptions", {}), **doc.get("subscriptions", {})},
                   "hasLiteAccount": True}  # fmt: skip
        for name in ("profile", "data"):
            doc.pop(name, None)
    if subscriptions:
        schema = repository.schemas["subscriptionsSchema"]
        doc["subscriptions"], waiting = consents.subscribe(
            doc.get("subscriptions", {}), subscriptions, schema, now_ms=now_ms, is_import=is_import
        )
        consents.ask_for_confirmation(session, email=email, paths=waiting, now_ms=now_ms)
    doc.setdefault("hasLiteAccount", False)
    set_moment(doc, "lastUpdated", now_ms)
    put_email(session, email=email, doc=doc, row=target, uid=account.uid, full=True, now_ms=now_ms)


def _not_unique(
    repository: Repository, session: Session, account: Account, given: Mapping[str, Any]
) -> list[Violation]:
    found: list[Violation] = []
    for section in ("profile", "data"):
        unique = repository.schemas[f"{section}Schema"].unique()
        if not unique or not given.get(section):
            continue
        for path, value in leaves(given[section]):
            if path in unique and isinstance(value, str | int | float | bool):
                condition = Compare((section, *path.split(".")), Comparison.EQUAL, literal(value))
                if session.has_other_value(account.id or 0, condition):
                    found.append(Violation(400022, f"{section}.{path}", f"{path} already exists"))
    return found


def _change_login(account: Account, call: Call, session: Session) -> bool:
    """Change login identifiers; whether one belongs to another account and the rest is to be saved all the same."""
    parameters = call.parameters
    ids = account.doc.setdefault("loginIDs", {})
    emails = [email.lower() for email in ids.get("emails") or ()]
    added = [email.lower() for email in parameters.names("addLoginEmails")]
    removed = {email.lower() for email in parameters.names("removeLoginEmails")}
    for email in added:
        if not EMAIL.fullmatch(email):
            raise invalid("addLoginEmails", "is not an e-mail address")
    taken = False
    for email in added:
        owner = session.account_by_login("emails", email)
        if owner is None or owner.uid == account.uid:
            emails.append(email)
        elif parameters.text("conflictHandling") == "saveProfileAndFail":
            taken = True
        else:
            raise ApiError(400003, "The login identifier belongs to another account")
    if added or removed:
        ids["emails"] = [email for email in dict.fromkeys(emails) if email not in removed]
    if (username := parameters.text("username")) is not None:
        ids["username"] = username
        account.profile["username"] = username
    if (phone := parameters.text("phoneNumber")) is not None:
        account.doc["phoneNumber"] = phone
    password = parameters.text("newPassword") or (parameters.text("password") if call.caller.is_application else None)
    if password is not None:
        account.extra["password"] = new_password(password, call.now_ms)
    return taken


def _change_flags(account: Account, call: Call) -> None:
    parameters = call.parameters
    if (active := parameters.boolean("isActive")) is not None:
        account.doc["isActive"] = active
    verified = parameters.boolean("isVerified")
    if verified is False and account.doc.get("isVerified"):
        raise invalid("isVerified", "cannot be set back")
    if verified and not account.doc.get("isVerified"):
        account.doc["isVerified"] = True
        set_moment(account.doc, "verified", call.now_ms)
    source = parameters.text("regSource")
    if source is not None and "regSource" not in account.doc:
        account.doc["regSource"] = source


def _import_whole(account: Account, whole: Mapping[str, dict[str, Any] | None], identities: list[Any] | None) -> None:
    for name, value in whole.items():
        if value is not None:
            account.doc[name] = value
    for name, keys in (("loginIDs", ("emails", "unverifiedEmails")), ("emails", ("verified", "unverified"))):
        group = account.doc.get(name, {})
        for key in keys:
            emails = group.get(key)
            if isinstance(emails, str):
                emails = [part.strip() for part in emails.split(",") if part.strip()]
            if emails is not None and not (isinstance(emails, list) and all(isinstance(each, str) for each in emails)):
                raise invalid(name, f"{key} is not an array of e-mail addresses")
            group[key] = [email.lower() for email in emails] if emails and name == "loginIDs" else emails or []
        account.doc[name] = group
    if identities is not None:
        account.doc["identities"] = identities
        providers = [str(each.get("provider", "site")) for each in identities if isinstance(each, dict)]
        account.doc["socialProviders"] = ",".join(dict.fromkeys(providers)) or "site"
    for kind, identifier in login_ids(account):
        if not isinstance(identifier, str):
            raise invalid("loginIDs", f"{kind} is not a text")


def _import_flags(account: Account, call: Call, *, is_new: bool) -> None:
    parameters = call.parameters
    for name in ("isActive", "isRegistered", "isVerified"):
        if (value := parameters.boolean(name)) is not None:
            account.doc[name] = value
    registered = parameters.text("registered") is not None
    if is_new and parameters.boolean("isRegistered") is None:
        account.doc["isRegistered"] = True
        registered = True
    if account.doc["isRegistered"] and "registeredTimestamp" not in account.doc and registered:
        set_moment(account.doc, "registered", call.now_ms)
    for name in ("regSource", "lang", "phoneNumber"):
        if (text := parameters.text(name)) is not None:
            account.doc[name] = text


def _moment(text: str | None, name: str) -> int | None:
    if text is None or text.startswith(NEVER[:10]):
        return None
    if text.isdecimal() and text.isascii() and len(text) <= len(str(_LAST_MS)) and int(text) <= _LAST_MS:
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
        return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise invalid(name, "is not a time such as 2026-01-31T12:00:00.000Z") from error


_CONTENT: Final = "UID profile data subscriptions preferences communications customIdentifiers internal lang regSource"

METHODS: Final[tuple[Method, ...]] = (
    method(
        "accounts.setAccountInfo",
        set_account_info,
        f"{_CONTENT} regToken login_token oauth_token isActive isVerified username phoneNumber addLoginEmails"
        " removeLoginEmails password newPassword secretQuestion secretAnswer securityOverride requirePasswordChange rba"
        " muteWebhooks conflictHandling",
        access=Access.USER,
        is_audited=True,
    ),
    method(
        "accounts.importFullAccount",
        import_full_account,
        f"{_CONTENT} createUID importPolicy created registered verified lastLogin lastUpdated oldestDataUpdated"
        " isActive isRegistered isVerified dataCenter emails loginIDs phoneNumber identities lastLoginLocation"
        " providerSessions secretQuestionAndAnswer password",
    ),
    method("accounts.deleteAccount", delete_account, "UID", is_audited=True),
)
