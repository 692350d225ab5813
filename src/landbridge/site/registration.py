"""Registration and login, and the tokens that prove a person."""

from __future__ import annotations

import hmac
import re
from typing import Any, Final

from landbridge.gigya_wire.keys import from_pem, hmac_sha1, public_jwk, signed_jwt
from landbridge.gigya_wire.replies import ApiError, Payload, invalid, missing
from landbridge.site.account_reads import account_view, find_by_login
from landbridge.site.account_writes import change_content, change_preferences, keep_email_account
from landbridge.site.accounts import EMAIL, Account, load, new_account, save, set_moment
from landbridge.site.calls import Access, Call, Method, method
from landbridge.site.lite import write_lite
from landbridge.site.passwords import is_password, new_password
from landbridge.site.repository import Repository
from landbridge.site.store_session import Session
from landbridge.site.tokens import end_registration, new_login, new_registration, registration, session_uid

_SITE_UID: Final = re.compile(r"[!-~]{1,252}")
_SIGNATURE_LIFETIME_S: Final = 180
_TOKEN_LIFETIME_S: Final = 300
_COOKIE: Final = "glt_"


async def init_registration(repository: Repository, call: Call) -> Payload:
    """accounts.initRegistration: a registration token for an hour."""
    is_lite = call.parameters.boolean("isLite") or False

    def begin(session: Session) -> Payload:
        return {"regToken": new_registration(session, {"isLite": is_lite}, call.now_ms)}

    payload = await repository.write(call, begin)
    return payload | ({"isLite": True} if is_lite else {})


async def register(repository: Repository, call: Call) -> Payload:
    """accounts.register: a new account, complete or pending."""
    parameters = call.parameters
    email, username = parameters.text("email"), parameters.text("username")
    given = {name: parameters.object(name) for name in ("profile", "data", "subscriptions", "preferences",
                                                        "communications")}  # fmt: skip
    token = parameters.text("regToken")
    if token is None and not call.caller.is_application:
        raise missing("regToken")
    email = email or (given["profile"] or {}).get("email")
    if email is None and username is None:
        raise missing("email")
    if email is not None and not (isinstance(email, str) and EMAIL.fullmatch(email)):
        raise _validation(400006, "email", "email is not an e-mail address")
    uid = _site_uid(call)

    def create(session: Session) -> Payload:
        lite = token is not None and registration(session, token, call.now_ms).get("isLite", False)
        if lite:
            lite_uid = write_lite(repository, session, call, (email or "").lower(), given, is_import=False)
            end_registration(session, token or "")
            return {"UID": lite_uid, "isLite": True}
        password = parameters.required("password")
        _check_free(session, uid=uid, email=email, username=username)
        account = new_account(uid, call.now_ms)
        account.extra["password"] = new_password(password, call.now_ms)
        if email:
            account.doc["loginIDs"]["emails"] = [email.lower()]
            account.doc["emails"]["unverified"] = [email.lower()]
            account.profile["email"] = email
        if username:
            account.doc["loginIDs"]["username"] = username
        change_content(repository, session, account, given, client=not call.caller.is_application)
        change_preferences(
            account, given, now_ms=call.now_ms, language=parameters.text("lang") or "en", is_import=False
        )
        if source := parameters.text("regSource"):
            account.doc["regSource"] = source
        save(session, account, call.now_ms)
        keep_email_account(repository, session, account, given["subscriptions"], now_ms=call.now_ms, is_import=False)
        repository.announce(session, call, "accountCreated", uid=account.uid)
        if token is not None:
            end_registration(session, token)
        finalize = parameters.boolean("finalizeRegistration") or False
        return _finished(repository, session, call, account, finalize=finalize) | {"newUser": True}

    return _raised_when_pending(await repository.write(call, create))


async def finalize_registration(repository: Repository, call: Call) -> Payload:
    """accounts.finalizeRegistration: a pending account becomes a registered one."""
    token = call.parameters.required("regToken")

    def finish(session: Session) -> Payload:
        uid = registration(session, token, call.now_ms).get("uid")
        if not isinstance(uid, str):
            raise invalid("regToken", "belongs to no account")
        account = load(session, uid)
        payload = _finished(repository, session, call, account, finalize=True)
        if "pending" not in payload:
            end_registration(session, token)
        return payload

    return _raised_when_pending(await repository.write(call, finish))


async def login(repository: Repository, call: Call) -> Payload:
    """accounts.login."""
    wanted, password = call.parameters.required("loginID"), call.parameters.required("password")

    def enter(session: Session) -> Payload:
        row = find_by_login(session, wanted)
        if row is None:
            raise ApiError(403042, "Invalid LoginID")
        account = Account.of(row)
        if not is_password(password, account.extra.get("password")):
            raise ApiError(403042, "invalid loginID or password")
        if not account.doc.get("isActive", True):
            raise ApiError(403041, "Account disabled")
        set_moment(account.doc, "lastLogin", call.now_ms)
        save(session, account, call.now_ms)
        repository.announce(session, call, "accountLoggedIn", uid=account.uid)
        payload = _finished(repository, session, call, account, finalize=False)
        for name in ("createdTimestamp", "registeredTimestamp", "lastLoginTimestamp"):
            if isinstance(moment := payload.get(name), int):
                # This method alone answers in seconds.
                payload[name] = moment // 1000
        return payload

    return _raised_when_pending(await repository.write(call, enter))


async def logout(repository: Repository, call: Call) -> Payload:
    """accounts.logout: ends the login session of a token."""
    token = call.parameters.text("login_token")

    def leave(session: Session) -> Payload:
        if token is not None:
            session.delete_document("login_token", token)
        return {}

    return await repository.write(call, leave)


async def exchange_uid_signature(repository: Repository, call: Call) -> Payload:
    """accounts.exchangeUIDSignature: checks a UID signature and gives a new one."""
    uid = call.parameters.required("UID")
    signature, timestamp = call.parameters.required("UIDSignature"), call.parameters.integer("signatureTimestamp")
    if timestamp is None:
        raise missing("signatureTimestamp")
    secret = repository.credentials.partner_secret
    if abs(call.now_ms // 1000 - timestamp) > _SIGNATURE_LIFETIME_S:
        raise ApiError(403002, "The signature is too old")
    known = hmac_sha1(secret, f"{timestamp}_{uid}")
    if not hmac.compare_digest(known.encode(), signature.encode("utf-8", "surrogatepass")):
        raise ApiError(403003, "The UID signature is wrong")
    return _signature(secret, uid, call.now_ms)


async def get_jwt_public_key(repository: Repository, call: Call) -> Payload:
    """accounts.getJWTPublicKey: the key of the site's JSON web tokens."""
    key = from_pem(repository.credentials.token_key).public_key()
    jwk = public_jwk(key, repository.credentials.token_key_id)
    return {"keys": [jwk]} if call.parameters.boolean("V2") else dict(jwk)


async def get_jwt(repository: Repository, call: Call) -> Payload:
    """accounts.getJWT: a token that proves who a person is."""
    lifetime = call.parameters.integer("expiration") or _TOKEN_LIFETIME_S
    fields = call.parameters.names("fields")

    def read(session: Session) -> Account:
        uid = session_uid(session, call)
        if uid is None and call.caller.is_application:
            uid = call.parameters.text("targetUID")
        if uid is None:
            raise missing("targetUID")
        return load(session, uid)

    account = await repository.store.read(read)
    now = call.now_ms // 1000
    claims: dict[str, Any] = {
        "iss": f"https://fidm.gigya.com/jwt/{repository.credentials.api_key}/",
        "sub": account.uid,
        "iat": now,
        "exp": now + lifetime,
        "apiKey": repository.credentials.api_key,
        "isLoggedIn": call.parameters.text("login_token") is not None,
    }
    ignored = []
    for field in fields:
        value: Any = account.doc
        for key in field.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if value is None:
            ignored.append(field)
        else:
            claims[field] = value
    token = signed_jwt(from_pem(repository.credentials.token_key), {"kid": repository.credentials.token_key_id}, claims)
    return {"id_token": token} | ({"ignoredFields": ",".join(ignored)} if ignored else {})


def _site_uid(call: Call) -> str | None:
    uid = call.parameters.text("siteUID")
    if uid is not None and not _SITE_UID.fullmatch(uid):
        raise invalid("siteUID", "is not up to 252 printable ASCII characters")
    return uid


def _check_free(session: Session, *, uid: str | None, email: str | None, username: str | None) -> None:
    if uid is not None and session.account(uid) is not None:
        raise _validation(400003, "siteUID", "siteUID already exists")
    if email and session.account_by_login("emails", email.lower()):
        raise _validation(400003, "email", "email already exists")
    if username and session.account_by_login("username", username):
        raise _validation(400003, "username", "username already exists")


def _finished(repository: Repository, session: Session, call: Call, account: Account, *, finalize: bool) -> Payload:
    lacking = _lacking(repository, account)
    was_registered = account.doc.get("isRegistered", False)
    if not was_registered and finalize and not lacking:
        account.doc["isRegistered"] = True
        set_moment(account.doc, "registered", call.now_ms)
        set_moment(account.doc, "lastLogin", call.now_ms)
        account.touch(call.now_ms)
        save(session, account, call.now_ms)
        repository.announce(session, call, "accountRegistered", uid=account.uid)
    view = account_view(session, account, call)
    if account.doc.get("isRegistered"):
        view |= _signature(repository.credentials.partner_secret, account.uid, call.now_ms)
        return view | _session_info(repository, session, call, account.uid)
    view["regToken"] = new_registration(session, {"uid": account.uid}, call.now_ms)
    return view | {"pending": lacking}


def _raised_when_pending(payload: Payload) -> Payload:
    # The writes of a pending registration are kept; only then is the reply made an error.
    lacking = payload.pop("pending", None)
    if lacking is None:
        return payload
    details = f"Missing required fields for registration: {', '.join(lacking)}" if lacking else None
    raise ApiError(206001, details, payload=payload)


def _lacking(repository: Repository, account: Account) -> list[str]:
    lacking: list[str] = []
    for section in ("profile", "data", "preferences"):
        for path in repository.schemas[f"{section}Schema"].required():
            value: Any = account.doc.get(section)
            for key in path.split("."):
                value = value.get(key) if isinstance(value, dict) else None
            refused = section == "preferences" and not (isinstance(value, dict) and value.get("isConsentGranted"))
            if value is None or refused:
                lacking.append(f"{section}.{path}")
    return lacking


def _signature(secret: str, uid: str, now_ms: int) -> Payload:
    timestamp = str(now_ms // 1000)
    return {"UID": uid, "UIDSignature": hmac_sha1(secret, f"{timestamp}_{uid}"), "signatureTimestamp": timestamp}


def _session_info(repository: Repository, session: Session, call: Call, uid: str) -> Payload:
    lifetime = call.parameters.integer("sessionExpiration")
    until = call.now_ms + lifetime * 1000 if lifetime and lifetime > 0 else None
    token = new_login(session, uid, until)
    if call.parameters.text("targetEnv") == "mobile":
        return {"sessionInfo": {"sessionToken": token, "sessionSecret": "", "expires_in": str(lifetime or 0)}}
    name = f"{_COOKIE}{repository.credentials.api_key}"
    return {"sessionInfo": {"cookieName": name, "cookieValue": token}}


def _validation(code: int, field: str, message: str) -> ApiError:
    error = {"errorCode": code, "message": message, "fieldName": field}
    return ApiError(400009, message, payload={"validationErrors": [error]})


_SESSION: Final = "include extraProfileFields targetEnv sessionExpiration captchaToken captchaType captchaText"

METHODS: Final[tuple[Method, ...]] = (
    method("accounts.initRegistration", init_registration, "isLite", access=Access.ANYONE),
    method(
        "accounts.register",
        register,
        f"{_SESSION} email username password regToken profile data subscriptions preferences communications"
        " finalizeRegistration siteUID regSource secretQuestion secretAnswer",
        access=Access.ANYONE,
        is_audited=True,
    ),
    method(
        "accounts.finalizeRegistration",
        finalize_registration,
        f"{_SESSION} regToken allowAccountsLinking",
        access=Access.ANYONE,
    ),
    method("accounts.login", login, f"{_SESSION} loginID password", access=Access.ANYONE, is_audited=True),
    method("accounts.logout", logout, "UID login_token", access=Access.ANYONE, is_audited=True),
    method("accounts.exchangeUIDSignature", exchange_uid_signature, "UID UIDSignature signatureTimestamp"),
    method("accounts.getJWTPublicKey", get_jwt_public_key, "V2", access=Access.ANYONE),
    method("accounts.getJWT", get_jwt, "targetUID fields expiration login_token", access=Access.USER),
)
