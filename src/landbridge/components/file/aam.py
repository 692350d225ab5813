"""file.format.aam: traits for Adobe Audience Manager ("inbound data file").

Name and layout follow Adobe's pages on inbound data files. The name is
``ftp_dpm_DPID[_TARGET]_TIMESTAMP(.sync|.overwrite)[.PART]``, the time stamp in seconds since 1970 (UTC). A
line is the user's id, a tab, and ``"key"="value"`` pairs with commas between; a key with several values is
repeated. Tabs and line ends are not allowed in keys and values, colons not in ids. Adobe takes up to 5 GB
in one file and advises 1 GB. Which of the two kinds IdentitySync writes is not public; ``sync``, which
takes nothing away, is the default here.
"""

from __future__ import annotations

from typing import Literal

from landbridge.components.file.attributes import AttributeFormatter, AttributeParams, Layout, Notation
from landbridge.components.params import Param
from landbridge.components.registry import component


@component("file.format.aam", title="Write an Adobe Audience Manager file")
class FormatAam(AttributeFormatter):
    """Write each record as a line ``UID<tab>"name"="value","name"="value"`` for Adobe Audience Manager.

    The file is named as Audience Manager asks for it. Every field but the id becomes a key; the elements of
    an array repeat it. Quotes, tabs and line ends within values become blanks. A record without an id, or
    with a colon in it, is a reject. Adobe advises a `maxFileSize` of 1000.
    """

    class Params(AttributeParams):
        """Parameters of file.format.aam."""

        dpid: int = Param("Id of the data source that the user ids belong to.", ge=0, example=478)
        target_dpid: int | None = Param(
            "Id of the data source that owns the traits, where the user ids are device ids or of a partner.",
            default=None,
            ge=0,
            example=21,
        )
        file_type: Literal["sync", "overwrite"] = Param(
            "`sync` adds to what is known of a user, `overwrite` replaces it.", default="sync", example="sync"
        )

    params: Params
    layout = Layout(
        after_id="\t",
        between=",",
        notation=lambda name: Notation(before=f'"{name}"="', between=f'","{name}"="', after='"'),
        unsafe='"',
        unsafe_in_id=r":|%3[Aa]",
    )

    def name(self, number: int) -> str:
        """As Audience Manager asks for it; parts are numbered only where there may be several."""
        params = self.params
        ids = "_".join(str(dpid) for dpid in (params.dpid, params.target_dpid) if dpid is not None)
        part = f".{number}" if params.max_file_size else ""
        return f"ftp_dpm_{ids}_{int(self.services.started.timestamp())}.{params.file_type}{part}"
