"""Subscriptions with double opt-in, consents and communication preferences."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from typing import Any, Final

from landbridge.gigya_wire.replies import ApiError, invalid, iso, missing
from landbridge.site.accounts import decode, encode, expand_dotted, merge
from landbridge.site.schema import Schema, Violation
from landbridge.site.store_session import Session

CONFIRMATION: Final = "confirmation"
_NO_DOUBLE_OPT_IN: Final[Mapping[str, Any]] = {
    "status": "NotConfirmed",
    "emailSentTime": None,
    "confirmTime": None,
    "doiConditionallyConfirmed": None,
}
_STATUSES: Final = ("OptIn", "OptOut")
_WRITABLE: Final = frozenset(("isSubscribed", "tags", "doubleOptIn"))
_ISO: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,7})?Z?")


def subscribe(
    current: dict[str, Any],
    given: Mapping[str, Any],
    schema: Schema,
    *,
    now_ms: int,
    is_import: bool,
) -> tuple[dict[str, Any], list[str]]:
    """Apply a change of subscriptions.

    Args:
        current: The subscriptions as stored.
        given: The change; nested or with dotted keys.
        schema: The subscriptions' schema.
        now_ms: The present moment.
        is_import: Whether ``lastUpdatedSubscriptionState`` may be given and no mail is sent.

    Returns:
        The new subscriptions, and the paths of those that now wait for a confirmation.

    Raises:
        ApiError: 400006 for a wrong shape, 400009 for a subscription that the schema does not allow.
    """
    result: dict[str, Any] = decode(encode(current).encode())
    waiting: list[str] = []
    for path, change in _channels(expand_dotted(given)):
        options = schema.fields.get(path)
        if options is None and not schema.dynamic:
            violation = Violation(400024, f"subscriptions.{path}", f"{path} is not in the schema")
            raise ApiError(400009, violation.message, payload={"validationErrors": [violation.as_json()]})
        state = _channel_at(result, path)
        _change_channel(state, change, path, now_ms=now_ms, is_import=is_import)
        if change.get("isSubscribed") is True and options and options.get("doubleOptIn"):
            opt_in = state["doubleOptIn"]
            if opt_in["status"] == "NotConfirmed" and not is_import:
                opt_in |= {"status": "Pending", "emailSentTime": iso(now_ms)}
                waiting.append(path)
    return result, waiting


def _channels(given: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for key, value in given.items():
        if not isinstance(value, dict):
            raise invalid("subscriptions", f"{prefix}{key} is not an object with a channel")
        if isinstance(channel := value.get("email"), dict):
            yield prefix + key, channel
        below = {name: inner for name, inner in value.items() if name != "email" or not isinstance(inner, dict)}
        yield from _channels(below, f"{prefix}{key}.")


def _channel_at(subscriptions: dict[str, Any], path: str) -> dict[str, Any]:
    holder = subscriptions
    for key in path.split("."):
        holder = holder.setdefault(key, {})
    state: dict[str, Any] = holder.setdefault("email", {})
    state.setdefault("isSubscribed", False)
    state.setdefault("tags", None)
    state.setdefault("lastUpdatedSubscriptionState", None)
    state.setdefault("doubleOptIn", dict(_NO_DOUBLE_OPT_IN))
    return state


def _change_channel(
    state: dict[str, Any], change: Mapping[str, Any], path: str, *, now_ms: int, is_import: bool
) -> None:
    allowed = _WRITABLE | {"lastUpdatedSubscriptionState"} if is_import else _WRITABLE
    unknown = sorted(set(change) - allowed - {"lastUpdatedSubscriptionState"})
    if unknown:
        raise invalid("subscriptions", f"{path}.email has no {unknown[0]}")
    if "isSubscribed" in change:
        _change_state(state, change["isSubscribed"], path, now_ms)
    if "tags" in change:
        tags = change["tags"]
        if tags is not None and not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
            raise invalid("subscriptions", f"{path}.email.tags is not an array of texts")
        state["tags"] = tags
    moment = change.get("lastUpdatedSubscriptionState")
    if is_import and moment is not None:
        if not isinstance(moment, str) or not _ISO.fullmatch(moment):
            raise invalid("subscriptions", f"{path}.email.lastUpdatedSubscriptionState is not a time")
        state["lastUpdatedSubscriptionState"] = moment
    opt_in = change.get("doubleOptIn")
    if isinstance(opt_in, dict):
        if opt_in.get("isExternallyVerified") is True:
            state["doubleOptIn"] |= {"status": "Confirmed", "confirmTime": iso(now_ms)}
        elif is_import:
            state["doubleOptIn"] |= {key: opt_in[key] for key in _NO_DOUBLE_OPT_IN if key in opt_in}


def _change_state(state: dict[str, Any], wanted: Any, path: str, now_ms: int) -> None:
    if isinstance(wanted, str) and wanted.lower() in ("true", "false"):
        wanted = wanted.lower() == "true"
    if not isinstance(wanted, bool):
        raise invalid("subscriptions", f"{path}.email.isSubscribed is not a boolean")
    if wanted != state["isSubscribed"] or state["lastUpdatedSubscriptionState"] is None:
        state["lastUpdatedSubscriptionState"] = iso(now_ms)
    state["isSubscribed"] = wanted
    if not wanted:
        state["doubleOptIn"] = dict(_NO_DOUBLE_OPT_IN)


def ask_for_confirmation(session: Session, *, email: str, paths: list[str], now_ms: int) -> None:
    """Keep the mail that asks a person to confirm; the site sends no real mail."""
    for path in paths:
        token = secrets.token_urlsafe(24)
        session.put_document(
            CONFIRMATION, token, encode({"email": email, "subscription": path, "sent": iso(now_ms), "token": token})
        )


def confirm(session: Session, token: str, now_ms: int) -> tuple[str, dict[str, Any]] | None:
    """Redeem a confirmation: the address and its subscriptions as they are now; None where the token is unknown."""
    text = session.take_document(CONFIRMATION, token)
    if text is None:
        return None
    asked = decode(text)
    row = session.email_account(asked["email"])
    if row is None:
        return None
    doc: dict[str, Any] = decode(row.doc)
    state = _channel_at(doc.setdefault("subscriptions", {}), asked["subscription"])
    if state["isSubscribed"] and state["doubleOptIn"]["status"] == "Pending":
        state["doubleOptIn"] |= {"status": "Confirmed", "confirmTime": iso(now_ms)}
    return asked["email"], doc


def consent(
    current: dict[str, Any], given: Mapping[str, Any], *, now_ms: int, language: str | None, is_import: bool = False
) -> None:
    """Apply a change of consents to an account's ``preferences``.

    Raises:
        ApiError: 400002 without a language, 400006 for a wrong shape.
    """
    for path, statement in _statements(expand_dotted(given)):
        granted = statement.get("isConsentGranted")
        if granted is not None and not isinstance(granted, bool):
            raise invalid("preferences", f"{path}.isConsentGranted is not a boolean")
        lang = statement.get("lang") or language
        if lang is None and not is_import:
            raise missing("lang")
        holder = current
        *parents, last = path.split(".")
        for key in parents:
            inner = holder.get(key)
            holder = inner if isinstance(inner, dict) else holder.setdefault(key, {})
        state = holder.setdefault(last, {})
        changed = granted is not None and granted != state.get("isConsentGranted")
        merge(state, statement)
        if lang is not None:
            state["lang"] = lang
        if changed or "lastConsentModified" not in state:
            state["lastConsentModified"] = statement.get("lastConsentModified") or iso(now_ms)
        state["actionTimestamp"] = statement.get("actionTimestamp") or iso(now_ms)


def _statements(given: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for key, value in given.items():
        if not isinstance(value, dict):
            raise invalid("preferences", f"{prefix}{key} is not a consent statement")
        if "isConsentGranted" in value:
            yield prefix + key, value
        else:
            yield from _statements(value, f"{prefix}{key}.")


def communicate(current: dict[str, Any], given: Mapping[str, Any], *, now_ms: int) -> None:
    """Apply a change of communication preferences, keyed ``<topic>_<channel>``.

    Raises:
        ApiError: 400006 for a wrong shape.
    """
    for key, change in given.items():
        if not isinstance(change, dict):
            raise invalid("communications", f"{key} is not an object")
        topic, _, channel = key.rpartition("_")
        if not topic:
            raise invalid("communications", f"{key} is not <topic>_<channel>")
        status = change.get("status", current.get(key, {}).get("status", "OptOut"))
        if status not in _STATUSES:
            raise invalid("communications", f"{key}.status is neither OptIn nor OptOut")
        current[key] = {
            **current.get(key, {}),
            "topic": topic,
            "channel": channel,
            "status": status,
            "lastModified": iso(now_ms),
            "userActionTimestamp": change.get("userActionTimestamp") or iso(now_ms),
            **({"optIn": change["optIn"]} if isinstance(change.get("optIn"), dict) else {}),
        }
