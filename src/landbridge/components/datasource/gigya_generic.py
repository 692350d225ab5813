"""Any method of the API, once for each record."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import msgspec
from pydantic import field_validator, model_validator

from landbridge.components.base import StepServices
from landbridge.components.datasource import gigya_calls as calls
from landbridge.components.datasource.gigya_site import SiteParams
from landbridge.components.datasource.gigya_writer import SiteWriter
from landbridge.components.params import ComponentParams, FieldPath, Param
from landbridge.components.registry import component
from landbridge.records import Batch
from landbridge.remote import gigya_errors as codes
from landbridge.remote.gigya_errors import CallRefused

_METHOD: Final = re.compile(r"[A-Za-z]\w*(\.\w+)*")
_REPEATABLE: Final = re.compile(
    r"(ids|accounts)\.(get\w*|search|set\w+|importLiteAccount|delete\w+|isAvailableLoginID|unsubscribe)"
    r"|\w+(\.\w+)*\.(get\w*|search|delete\w*)"
)
"""Methods that do no harm when they are called twice, because the second call changes nothing."""


class ApiParam(ComponentParams):
    """One parameter of the call: a field of the record, or a fixed value."""

    param_name: str = Param("Name of the API's parameter.", example="UID")
    source_field: FieldPath | None = Param("Field of the record to send.", default=None, example="UID")
    value: Any = Param("Fixed value to send, in place of a field.", default=None, example="true")

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if (self.source_field is None) == (self.value is None):
            raise ValueError("give exactly one of sourceField and value")
        return self


class GenericWriterParams(SiteParams):
    """Parameters of the generic writer."""

    api_method: str = Param("Method with its namespace.", example="accounts.importLiteAccount")
    api_params: list[ApiParam] = Param(
        "Parameters of the call.",
        default=[],
        example=[{"paramName": "email", "sourceField": "email"}],
    )
    add_response: bool = Param("Add the API's answer to each record as the object _response.", default=False)
    max_connections: int = Param("Parallel calls.", default=10, ge=1, le=100)

    @field_validator("api_method")
    @classmethod
    def _is_method(cls, value: str) -> str:
        if not _METHOD.fullmatch(value.strip()):
            raise ValueError(f"{value!r} is not the name of a method")
        return value.strip()


@component("datasource.write.gigya.generic", title="Call any API method")
class GenericWriter(SiteWriter):
    """Call a method of the API for each record.

    Objects and arrays are sent as JSON text; a field that a record lacks is not sent. A call whose answer was lost is
    repeated where that can do no harm; for other methods the record is rejected, because nobody knows whether the call
    was done.
    """

    Params = GenericWriterParams
    params: GenericWriterParams

    def __init__(self, params: GenericWriterParams, services: StepServices) -> None:
        super().__init__(params, services)
        self.deletes = ".delete" in params.api_method

    def requests(self, batch: Batch) -> list[dict[str, str]]:
        """The parameters that the step names."""
        texts = {
            param.param_name: calls.texts_at(batch, param.source_field)
            for param in self.params.api_params
            if param.source_field is not None
        }
        fixed = {param.param_name: _text(param.value) for param in self.params.api_params if param.value is not None}
        made = [{**fixed, **request} for request in calls.requests_of(texts, batch.num_rows)]
        return [self._with_uid_spelt(request) for request in made]

    def repeatable(self, batch: Batch, requests: Sequence[Mapping[str, str]]) -> list[bool]:
        """As the method is; a deletion that was done is done."""
        del batch
        return [_may_repeat(self.params.api_method, request) for request in requests]

    async def call_again(self, parameters: Mapping[str, str]) -> bytes:
        """Call the method for a record for which it may have been called."""
        try:
            return await self.call(parameters)
        except CallRefused as error:
            if self.deletes and error.vendor_code in codes.UNKNOWN_UID:
                return msgspec.json.encode({"errorCode": 0, "statusCode": 200, "statusReason": "OK"})
            raise

    async def call(self, parameters: Mapping[str, str]) -> bytes:
        """Call the method for one record."""
        method = self.params.api_method
        try:
            answer = await self.client.call(method, parameters, may_repeat=_may_repeat(method, parameters))
        except CallRefused as error:
            if error.after_uncertain and ".delete" in method and error.vendor_code in codes.UNKNOWN_UID:
                # The attempt whose answer was lost has deleted it.
                return msgspec.json.encode({"errorCode": 0, "statusCode": 200, "statusReason": "OK"})
            raise
        return answer.body

    @staticmethod
    def _with_uid_spelt(request: dict[str, str]) -> dict[str, str]:
        """UID in its own spelling, by which calls for one account are kept in order."""
        return {"UID" if name.lower() == "uid" else name: text for name, text in request.items()}


def _may_repeat(method: str, parameters: Mapping[str, str]) -> bool:
    if method == "ds.store":
        return parameters.get("oid", "auto") != "auto" and parameters.get("updateBehavior") in ("arraySet", "replace")
    if method == "accounts.importFullAccount":
        return "UID" in parameters
    return _REPEATABLE.fullmatch(method) is not None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
