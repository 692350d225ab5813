"""Whole accounts, as from another identity system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from landbridge.components.base import Forecast, Verdict
from landbridge.components.datasource import gigya_calls as calls, gigya_forecast
from landbridge.components.datasource.gigya_site import SiteParams
from landbridge.components.datasource.gigya_writer import SiteWriter
from landbridge.components.params import Param
from landbridge.components.registry import component
from landbridge.records import Batch
from landbridge.remote import gigya_errors as codes
from landbridge.remote.gigya_errors import CallRefused

_METHOD: Final = "accounts.importFullAccount"
_SPELT: Final = {
    name.lower(): name
    for name in [
        "UID",
        "createUID",
        "importPolicy",
        "created",
        "registered",
        "verified",
        "lastLogin",
        "lastUpdated",
        "isActive",
        "isRegistered",
        "isVerified",
        "dataCenter",
        "emails",
        "loginIDs",
        "phoneNumber",
        "identities",
        "profile",
        "data",
        "preferences",
        "subscriptions",
        "communications",
        "lang",
        "regSource",
        "providerSessions",
        "secretQuestionAndAnswer",
        "password",
        "context",
        "customIdentifiers",
        "internal",
        "addresses",
        "lastLoginLocation",
        "handleIdentityConflicts",
    ]
}
"""Parameters in their own spelling; dataflows write ``uid`` and ``loginIds``, too."""

_COMPARED: Final = ("profile", "data")


class ImportWriterParams(SiteParams):
    """Parameters of the import writer."""

    import_policy: Literal["insert", "upsert"] = Param(
        "insert: an existing UID is an error; upsert: it is changed, given values replace old ones.", default="insert"
    )
    handle_identity_conflicts: str | None = Param(
        "What happens when a social identity belongs to another account.", default=None, example="connect"
    )
    add_response: bool = Param("Add the API's answer to each record as the object _response.", default=False)
    max_connections: int = Param("Parallel calls.", default=20, ge=1, le=100)


@component("datasource.write.gigya.importaccount", title="Import accounts")
class ImportWriter(SiteWriter):
    """Import accounts: every outermost field of a record is a parameter of accounts.importFullAccount.

    No e-mails are sent. One account is imported at most five times a minute, as the API allows, and never twice at
    the same time. A record without ``UID`` needs ``createUID``; when the answer to such a call is lost, the record is
    rejected, because a repetition could create the account twice.
    """

    Params = ImportWriterParams
    params: ImportWriterParams

    def requests(self, batch: Batch) -> list[dict[str, str]]:
        """All outermost fields, and the step's policy."""
        texts = {_SPELT.get(name.lower(), name): values for name, values in calls.texts_by_field(batch).items()}
        fixed: dict[str, str] = {"importPolicy": self.params.import_policy}
        if self.params.handle_identity_conflicts:
            fixed["handleIdentityConflicts"] = self.params.handle_identity_conflicts
        return [{**request, **fixed} for request in calls.requests_of(texts, batch.num_rows)]

    async def call(self, parameters: Mapping[str, str]) -> bytes:
        """Import one account."""
        try:
            answer = await self.client.call(_METHOD, parameters, may_repeat="UID" in parameters)
        except CallRefused as error:
            if error.after_uncertain and error.vendor_code == codes.EXISTS and await self._is_done(parameters):
                return _done(parameters["UID"])
            raise
        return answer.body

    async def forecast(self, batch: Batch) -> list[Forecast]:
        """Compare each record with the account as it is."""
        requests = self.requests(batch)
        found = await gigya_forecast.accounts(
            self.client, requests, connections=self.params.max_connections, services=self.services
        )
        return [self._forecast(request, found) for request in requests]

    def _forecast(self, request: Mapping[str, str], found: Mapping[str, gigya_forecast.Account | None]) -> Forecast:
        uid = request.get("UID")
        if not uid:
            return Forecast(Verdict.CREATE if request.get("createUID") == "true" else Verdict.INVALID)
        if uid not in found:
            return Forecast(Verdict.CREATE)
        account = found[uid]
        if account is None:
            return Forecast(Verdict.CANNOT_TELL)
        return gigya_forecast.forecast(request, account, may_exist=self.params.import_policy == "upsert")

    def repeatable(self, batch: Batch, requests: Sequence[Mapping[str, str]]) -> list[bool]:
        """An account without a UID would be created twice."""
        del batch
        return ["UID" in request for request in requests]

    async def call_again(self, parameters: Mapping[str, str]) -> bytes:
        """Import one account that may have been imported: one that is there as it should be is done."""
        try:
            return await self.call(parameters)
        except CallRefused as error:
            if error.vendor_code == codes.EXISTS and await self._is_done(parameters):
                return _done(parameters["UID"])
            raise

    async def _is_done(self, parameters: Mapping[str, str]) -> bool:
        """Whether the account is as an attempt whose answer was lost would have made it."""
        wanted = {name: msgspec.json.decode(parameters[name]) for name in _COMPARED if name in parameters}
        asked = {"UID": parameters["UID"], "include": ",".join(_COMPARED), "extraProfileFields": _extra(wanted)}
        answer = await self.client.call("accounts.getAccountInfo", asked, may_repeat=True)
        return _holds(msgspec.json.decode(answer.body), wanted)


def _done(uid: str) -> bytes:
    """The reply to a call that had been done before."""
    return msgspec.json.encode({"errorCode": 0, "statusCode": 200, "statusReason": "OK", "UID": uid})


def _extra(wanted: Mapping[str, Any]) -> str:
    profile = wanted.get("profile")
    return ",".join(profile) if isinstance(profile, dict) else ""


def _holds(value: Any, wanted: Any) -> bool:
    """Whether ``wanted`` is part of ``value``."""
    if isinstance(wanted, dict):
        return isinstance(value, dict) and all(
            _holds(value.get(name), member) for name, member in wanted.items() if member is not None
        )
    return bool(value == wanted)
