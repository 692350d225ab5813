"""Jobs of the emulated Connect as its users define them: JSON objects with camelCase names.

An import, an export and an event feed::

    {"kind": "import", "name": "Accounts", "filePattern": "accounts_profiles_*", "packing": {"compression": "gzip"},
     "countFile": "{stem}.count", "readyFile": "{stem}.ready", "matchColumn": "CUSTOMER_ID_"}
    {"kind": "export", "name": "Members", "fileName": "members", "fields": ["CUSTOMER_ID_", "SCORE"],
     "readyFile": "{stem}.ready"}
    {"kind": "feed", "name": "Opt-outs", "events": ["OPT_OUT"], "packing": {"compression": "zip"}}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

Delimiter = Literal["comma", "semicolon", "tab", "pipe"]
EventKind = Literal["OPT_OUT", "OPT_IN", "BOUNCE"]
_Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.!-]{0,99}$")]
_FileName = Annotated[str, Meta(pattern=r"^[^/\x00]{1,200}$")]
_Beside = Annotated[str, Meta(pattern=r"^[^/\x00]{0,200}$")]

SEPARATORS: dict[str, str] = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}


class _Definition(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    pass


class Packing(_Definition, frozen=True, kw_only=True):
    """How a job's files are compressed and encrypted.

    Attributes:
        compression: Also the ending: ``.gz`` or ``.zip``.
        private_key: An import decrypts with it, ASCII-armoured; empty for files that are not encrypted.
        public_key: An export encrypts for its holder, ASCII-armoured; empty for none.
    """

    compression: Literal["none", "gzip", "zip"] = "none"
    private_key: str = ""
    public_key: str = ""


class _Job(_Definition, frozen=True, kw_only=True, tag_field="kind"):
    """What all jobs have.

    Attributes:
        name: At most 100 characters of a limited set, as the vendor allows.
        is_active: Jobs of the vendor expire and must be renewed; an expired one does nothing.
        delimiter: Between two cells.
        enclosure: Around values; empty for none.
        charset: Character set of the file.
    """

    name: _Name
    is_active: bool = True
    delimiter: Delimiter = "comma"
    enclosure: Literal['"', "'", ""] = '"'
    charset: Literal["UTF-8", "ISO-8859-1"] = "UTF-8"
    packing: Packing = Packing()

    @property
    def separator(self) -> str:
        """The delimiter as it stands in the file."""
        return SEPARATORS[self.delimiter]


class ImportJob(_Job, frozen=True, kw_only=True, tag="import"):
    """Reads files from the folder ``upload`` into the list.

    Attributes:
        file_pattern: Name of the file, with ``*``.
        has_header: The first line names the columns; otherwise ``columns`` does.
        columns: Names of the file's columns in their order, where it has no header.
        mapping: Column of the file to column of the list; empty where their names are the same. Other columns of the
            file are left out.
        count_file: Name of the file with the number of rows: ``{file}`` is the data file's name, ``{stem}`` the part
            before its first dot. Empty for none.
        ready_file: Name of the file that the job waits for, likewise.
        match_column: By which members are found.
        insert_on_no_match, update_on_match, reject_record_if_channel_empty: As in the merge rule of the API.
        optin_value, optout_value: What means opted in and out in the column that is mapped to
            EMAIL_PERMISSION_STATUS_.
        default_permission_status: For new members whose row says nothing.
    """

    file_pattern: _FileName
    has_header: bool = True
    columns: tuple[str, ...] = ()
    mapping: dict[str, str] = {}
    count_file: _Beside = ""
    ready_file: _Beside = ""
    match_column: str = "CUSTOMER_ID_"
    insert_on_no_match: bool = True
    update_on_match: Literal["REPLACE_ALL", "NO_UPDATE"] = "REPLACE_ALL"
    reject_record_if_channel_empty: str = ""
    optin_value: str = "I"
    optout_value: str = "O"
    default_permission_status: Literal["OPTIN", "OPTOUT"] = "OPTOUT"

    @property
    def rule(self) -> dict[str, Any]:
        """The merge rule, as the API has it."""
        return {
            "matchColumnName1": self.match_column,
            "insertOnNoMatch": self.insert_on_no_match,
            "updateOnMatch": self.update_on_match,
            "rejectRecordIfChannelEmpty": self.reject_record_if_channel_empty or None,
            "optinValue": self.optin_value,
            "optoutValue": self.optout_value,
            "defaultPermissionStatus": self.default_permission_status,
        }


class ExportJob(_Job, frozen=True, kw_only=True, tag="export"):
    """Writes members into a file in the folder ``download``.

    Attributes:
        file_name: Without date and extension.
        dated: Where date and time stand in the name; with ``none`` each file replaces the one before.
        extension: Of the file.
        fields: Columns of the list, in their order.
        changes_only: Only members that were added or changed since the last run.
        permission_status: Only members with this status.
        ready_file: Name of the file that tells that the data file is complete: ``{file}`` is the data file's name,
            ``{stem}`` the part before its first dot. Empty for none.
        ready_has_count: The ready file holds the number of rows.
    """

    file_name: _FileName
    dated: Literal["prefix", "suffix", "none"] = "suffix"
    extension: Literal["csv", "txt"] = "csv"
    fields: tuple[str, ...]
    changes_only: bool = True
    permission_status: Literal["any", "I", "O"] = "any"
    ready_file: _Beside = ""
    ready_has_count: bool = True


class FeedJob(_Job, frozen=True, kw_only=True, tag="feed"):
    """Writes what has happened since its last run into a file for each kind of event, in the folder ``download``.

    Attributes:
        events: The kinds.
        ready_file: As for an export.
    """

    events: tuple[EventKind, ...] = ("OPT_OUT", "OPT_IN", "BOUNCE")
    ready_file: _Beside = ""


Job: TypeAlias = ImportJob | ExportJob | FeedJob


def job_of(given: Mapping[str, Any]) -> Job:
    """The job that a JSON object defines.

    Raises:
        ValueError: It has another member, or a value that is not possible; the text says which.
    """
    job: Job = msgspec.convert(dict(given), Job)
    return job


def as_json(job: Job) -> dict[str, Any]:
    """The JSON object that defines a job."""
    found: dict[str, Any] = msgspec.to_builtins(job)
    return found


def beside(pattern: str, file: str) -> str:
    """The name of the file that stands beside a data file."""
    return pattern.replace("{file}", file).replace("{stem}", file.partition(".")[0])
