"""The audit log of a site: who did what, and which accounts were deleted."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Literal

from landbridge.components.base import RecordReader
from landbridge.components.datasource import gigya_query as queries
from landbridge.components.datasource.gigya_pages import search
from landbridge.components.datasource.gigya_site import SiteParams
from landbridge.components.params import Param
from landbridge.components.registry import component
from landbridge.records import Batch


class AuditReaderParams(SiteParams):
    """Parameters of the audit reader."""

    select: Literal["*"] = Param("The API gives whole entries only.", default="*")
    where: str | None = Param(
        "Condition in the search language; names are case-sensitive.",
        default=None,
        example='endpoint = "accounts.deleteAccount" AND errCode = "0"',
    )
    batch_size: int = Param("Entries on a page of the search.", default=1000, ge=1, le=10_000)


@component("datasource.read.gigya.audit", title="Read the audit log")
class AuditReader(RecordReader):
    """Read entries of a site's audit log.

    A deleted account is never found by a search of accounts. Its entry here has ``endpoint`` accounts.deleteAccount,
    ``errCode`` "0", and the account in ``uid``.
    """

    Params = AuditReaderParams
    params: AuditReaderParams

    def read(self) -> AsyncGenerator[Batch]:
        """Yield the entries."""
        delta = None if self.since is None else f"@timestamp >= {queries.literal(queries.iso(self.since))}"
        query = queries.build(
            [self.params.select],
            "auditLog",
            conditions=[self.params.where, delta],
            order_by="@timestamp" if delta else None,
            limit=self.params.batch_size,
        )
        return search(self.params, "audit.search", query, services=self.services)
