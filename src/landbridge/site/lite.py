"""Lite accounts: an e-mail address with data and subscriptions, without a login."""

from __future__ import annotations

from typing import Any, Final
from uuid import uuid4

from landbridge.gigya_wire.replies import ApiError, Payload, invalid, missing
from landbridge.site import consents
from landbridge.site.accounts import EMAIL, decode, merge, put_email, set_moment
from landbridge.site.calls import Access, Call, Method, method
from landbridge.site.repository import Repository
from landbridge.site.schema import Violation, coerced, refuse
from landbridge.site.store_session import EmailRow, Session


async def import_lite_account(repository: Repository, call: Call) -> Payload:
    """accounts.importLiteAccount: create a lite account or merge into it."""
    email = _email(call)
    given = _given(call)

    def bring_in(session: Session) -> Payload:
        uid = write_lite(repository, session, call, email, given, is_import=True)
        return {"UID": uid}

    return await repository.write(call, bring_in)


async def set_lite_subscriptions(repository: Repository, call: Call) -> Payload:
    """accounts.setLiteAccountInfo: what a lite registration form sends; double opt-in is asked for."""
    email = _email(call)
    given = _given(call)

    def change(session: Session) -> Payload:
        return {"UID": write_lite(repository, session, call, email, given, is_import=False)}

    return await repository.write(call, change)


async def delete_lite_account(repository: Repository, call: Call) -> Payload:
    """accounts.deleteLiteAccount."""
    token, email = call.parameters.text("emailAccountToken"), call.parameters.text("email")
    if token is None and email is None:
        raise missing("emailAccountToken")

    def delete(session: Session) -> Payload:
        row = session.email_account_by_token(token) if token else session.email_account((email or "").lower())
        doc: dict[str, Any] = decode(row.doc) if row else {}
        if row is None or not doc.get("hasLiteAccount"):
            raise ApiError(404000, "There is no such lite account")
        if row.full:
            doc["hasLiteAccount"] = False
            put_email(session, email=row.email, doc=doc, row=row, uid=row.uid, full=True, now_ms=call.now_ms)
        else:
            session.delete_email_account(row.id)
        repository.announce(session, call, "accountDeleted", uid=row.uid, lite=True, emailAccountToken=row.token)
        return {}

    return await repository.write(call, delete)


async def get_lite_token(repository: Repository, call: Call) -> Payload:
    """accounts.getLiteToken."""
    email = _email(call)
    row = await repository.store.look_up(lambda session: session.email_account(email))
    if row is None:
        raise ApiError(404000, "There is no such e-mail account")
    return {"liteToken": row.token, "emailAccountToken": row.token}


async def unsubscribe(repository: Repository, call: Call) -> Payload:
    """accounts.unsubscribe: a subscription ends, or only some of its tags."""
    subscription = call.parameters.required("subscriptionID")
    email, token = call.parameters.text("email"), call.parameters.text("channelToken")
    if email is None and token is None:
        raise missing("email")
    tags = call.parameters.names("tags")

    def end(session: Session) -> Payload:
        row = session.email_account_by_token(token) if token else session.email_account((email or "").lower())
        if row is None:
            raise ApiError(404000, "There is no such e-mail account")
        doc: dict[str, Any] = decode(row.doc)
        state: Any = doc.get("subscriptions", {})
        for key in subscription.split("."):
            state = state.get(key, {}) if isinstance(state, dict) else {}
        channel = state.get("email") if isinstance(state, dict) else None
        if not isinstance(channel, dict):
            raise invalid("subscriptionID", "is not a subscription of this address")
        change: dict[str, Any] = {"isSubscribed": False}
        if tags:
            left = [tag for tag in channel.get("tags") or [] if tag not in tags]
            change = {"tags": left} if left else {"isSubscribed": False, "tags": None}
        schema = repository.schemas["subscriptionsSchema"]
        doc["subscriptions"], _ = consents.subscribe(
            doc["subscriptions"], {f"{subscription}.email": change}, schema, now_ms=call.now_ms, is_import=False
        )
        set_moment(doc, "lastUpdated", call.now_ms)
        put_email(session, email=row.email, doc=doc, row=row, uid=row.uid, full=row.full, now_ms=call.now_ms)
        repository.announce(session, call, "subscriptionUpdated", uid=row.uid, lite=not row.full)
        return {}

    return await repository.write(call, end)


def write_lite(
    repository: Repository,
    session: Session,
    call: Call,
    email: str,
    given: dict[str, dict[str, Any] | None],
    *,
    is_import: bool,
) -> str:
    """Create a lite account or merge into it; its UID.

    Raises:
        ApiError: 400009 with ``validationErrors``, 400006, 400002.
    """
    violations: list[Violation] = []
    for section in ("profile", "data"):
        violations += repository.schemas[f"{section}Schema"].check(given.get(section) or {}, section=section)
    refuse(violations)
    row: EmailRow | None = session.email_account(email)
    doc: dict[str, Any] = decode(row.doc) if row else {"profile": {"email": email}, "data": {}, "isLite": True}
    full = row is not None and row.full
    if not full:
        # The data of a full account are its own; a lite import adds subscriptions to it and nothing else.
        for section in ("profile", "data"):
            changes = given.get(section) or {}
            merge(doc.setdefault(section, {}), coerced(repository.schemas[f"{section}Schema"], changes))
        if preferences := given.get("preferences"):
            language = call.parameters.text("lang")
            current = doc.setdefault("preferences", {})
            consents.consent(current, preferences, now_ms=call.now_ms, language=language, is_import=is_import)
    if subscriptions := given.get("subscriptions"):
        doc["subscriptions"], waiting = consents.subscribe(
            doc.get("subscriptions", {}),
            subscriptions,
            repository.schemas["subscriptionsSchema"],
            now_ms=call.now_ms,
            is_import=is_import,
        )
        consents.ask_for_confirmation(session, email=email, paths=waiting, now_ms=call.now_ms)
    set_moment(doc, "lastUpdated", call.now_ms)
    doc["hasLiteAccount"] = True
    uid = row.uid if row else uuid4().hex
    put_email(session, email=email, doc=doc, row=row, uid=uid, full=full, now_ms=call.now_ms)
    if row is None:
        repository.announce(session, call, "accountCreated", uid=uid, lite=True)
    if given.get("subscriptions"):
        repository.announce(session, call, "subscriptionUpdated", uid=uid, lite=not full)
    return uid


def _email(call: Call) -> str:
    email = call.parameters.required("email").lower()
    if not EMAIL.fullmatch(email):
        raise invalid("email", "is not an e-mail address")
    return email


def _given(call: Call) -> dict[str, dict[str, Any] | None]:
    return {name: call.parameters.object(name) for name in ("profile", "data", "subscriptions", "preferences")}


_CONTENT: Final = "email profile data subscriptions preferences lang"

METHODS: Final[tuple[Method, ...]] = (
    method("accounts.importLiteAccount", import_lite_account, f"{_CONTENT} context"),
    method("accounts.setLiteAccountInfo", set_lite_subscriptions, f"{_CONTENT} regToken", access=Access.USER),
    method("accounts.deleteLiteAccount", delete_lite_account, "emailAccountToken email", is_audited=True),
    method("accounts.getLiteToken", get_lite_token, "email"),
    method("accounts.unsubscribe", unsubscribe, "subscriptionID email channelToken tags", access=Access.USER),
)
