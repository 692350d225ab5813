"""getPolicies: the rules of registration and login, as a fresh site has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from landbridge.gigya_wire.replies import ApiError, Payload, invalid
from landbridge.site.calls import Access, Call, Method, method
from landbridge.site.passwords import MIN_CHARS
from landbridge.site.repository import Repository

_PUBLIC: Final = frozenset(("gigyaPlugins", "passwordComplexity", "registration", "security"))
_POLICIES: Final[Mapping[str, Mapping[str, Any]]] = {
    "registration": {
        "requireCaptcha": False,
        "requireSecurityQuestion": False,
        "requireLoginID": False,
        "enforceCoppa": False,
    },
    "gigyaPlugins": {
        "connectWithoutLoginBehavior": "alwaysLogin",
        "defaultRegScreenSet": "",
        "defaultMobileRegScreenSet": "",
        "sessionExpiration": 0,
        "rememberSessionExpiration": 0,
    },
    "accountOptions": {
        "verifyEmail": False,
        "verifyProviderEmail": False,
        "useCodeVerification": False,
        "allowUnverifiedLogin": True,
        "preventLoginIDHarvesting": False,
        "sendWelcomeEmail": False,
        "sendAccountDeletedEmail": False,
        "defaultLanguage": "en",
        "loginIdentifierConflict": "failOnSiteConflictingIdentity",
        "loginIdentifiers": "email, providerEmail",
    },
    "passwordComplexity": {"minCharGroups": 0, "minLength": MIN_CHARS},
    "security": {
        "accountLockout": {"failedLoginThreshold": 0, "lockoutTimeSec": 300},
        "captcha": {"failedLoginThreshold": 0},
        "ipLockout": {"hourlyFailedLoginThreshold": 0, "lockoutTimeSec": 0},
        "passwordChangeInterval": 0,
        "passwordHistorySize": 0,
    },
    "emailVerification": {"verificationEmailExpiration": 86_400, "autoLogin": False},
    "authentication": {"methods": {"password": {}, "push": {}}},
    "doubleOptIn": {"confirmationLinkExpiration": 1_209_600},
    "emailNotifications": {"welcomeEmailDefaultLanguage": "en", "accountDeletedEmailDefaultLanguage": "en"},
    "passwordReset": {
        "requireSecurityCheck": False,
        "sendConfirmationEmail": False,
        "tokenExpiration": 3600,
        "resetURL": "",
    },
    "profilePhoto": {"thumbnailWidth": 64, "thumbnailHeight": 64},
    "federation": {"allowMultipleIdentities": False},
    "twoFactorAuth": {"providers": []},
    "rba": {},
    "preferencesCenter": {"lang": "en", "redirectURL": ""},
    "codeVerification": {},
}


async def get_policies(repository: Repository, call: Call) -> Payload:
    """accounts.getPolicies; a client without credentials sees the public sections only."""
    del repository
    sections = call.parameters.names("sections")
    for section in sections:
        if section not in _POLICIES:
            raise invalid("sections", f"there is no section {section}")
        if section not in _PUBLIC and not call.caller.is_application:
            raise ApiError(403007, "This section needs credentials")
    if not sections:
        sections = [name for name in _POLICIES if call.caller.is_application or name in _PUBLIC]
    return {section: _POLICIES[section] for section in sections}


METHODS: Final[tuple[Method, ...]] = (method("accounts.getPolicies", get_policies, "sections", access=Access.ANYONE),)
