"""Values that a person or program gives for the placeholders of one job."""

from __future__ import annotations

from collections.abc import Mapping

from landbridge.dataflow.variables import refers
from landbridge.errors import FlowError
from landbridge.jobs.vault import Vault


def sealed(vault: Vault, values: Mapping[str, str]) -> bytes | None:
    """The values as a job keeps them, since they may be secret; None where there are none.

    Raises:
        FlowError: LB-1710; see ``check``.
    """
    check(values)
    return vault.seal(dict(values)) if values else None


def check(values: Mapping[str, str]) -> None:
    """Refuse values that look as if something were to be filled into them.

    Whoever may start a job gives values; what the environment of the service holds is for who may change dataflows. A
    job takes values as they are in any case (see ``dataflow.variables``); here it is said before it begins.

    Raises:
        FlowError: LB-1710.
    """
    for name, value in values.items():
        if refers(value):
            raise FlowError(
                "LB-1710",
                f'the value of the placeholder "{name[:100]}" holds a variable or a reference, which is not filled in',
                hint="Let an editor write it into the dataflow, in place of the placeholder.",
            )
