"""Who may store a dataflow that is allowed to undo opt-outs: nobody but an admin, by whatever door."""

from __future__ import annotations

from typing import Final

from landbridge.dataflow import Dataflow
from landbridge.engine.guard_settings import FlowGuards
from landbridge.errors import AccessRefused, FlowError

_CODE: Final = "LB-8002"


def check_consent_guard(flow: Dataflow, before: Dataflow | None) -> None:
    """Refuse a dataflow that switches the guard of consents off, where an admin has not done so before.

    Args:
        flow: What somebody who is no admin would store.
        before: The version that it follows.

    Raises:
        AccessRefused: LB-8002, it takes the role admin.
    """
    if _is_unguarded(flow) and not (before is not None and _is_unguarded(before)):
        raise AccessRefused(
            _CODE,
            "to switch the guard of consents off needs the role admin",
            hint='Ask an admin; or set "action": "reject", which leaves out whoever would be opted in again.',
        )


def _is_unguarded(flow: Dataflow) -> bool:
    try:
        return FlowGuards.read(flow).consent_is_off
    except FlowError:
        return False  # it cannot run either
