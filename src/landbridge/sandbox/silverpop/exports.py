"""ExportList: contacts of a database into a file in the folder ``download``."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from landbridge.sandbox.silverpop.databases import EMAIL, Database
from landbridge.sandbox.silverpop.envelope import Element, Fault, Result, flag_of, tags, text_of
from landbridge.sandbox.silverpop.imports import DOWNLOAD, ENCODINGS
from landbridge.sandbox.silverpop.jobs import JobFailed

if TYPE_CHECKING:
    from landbridge.sandbox.silverpop.vendor import Silverpop

SEPARATORS: Final = {"CSV": ",", "TAB": "\t", "PIPE": "|"}
DATE_FORM: Final = "%m/%d/%Y %H:%M:%S"
_TITLES: Final = {"ALL": "All", "OPT_IN": "OptIn", "OPT_OUT": "OptOut", "UNDELIVERABLE": "Undeliverable"}
_ROWS_AT_ONCE: Final = 500


def _is_chosen(kind: str, contact: Mapping[str, Any]) -> bool:
    if kind == "OPT_IN":
        return contact["optedIn"] is not None and contact["optedOut"] is None and not contact["undeliverable"]
    if kind == "OPT_OUT":
        return contact["optedOut"] is not None
    return kind == "ALL" or bool(contact["undeliverable"])


def _system(zone: str) -> dict[str, Callable[[str, Mapping[str, Any]], str]]:
    """Columns that every database has besides its own; the names are not published for certain."""

    def day(iso: str | None) -> str:
        return "" if iso is None else datetime.fromisoformat(iso).astimezone(ZoneInfo(zone)).strftime(DATE_FORM)

    return {
        "RECIPIENT_ID": lambda number, _: number,
        "Email": lambda _, contact: str(contact["columns"].get(EMAIL, "")),
        "Opt In Date": lambda _, contact: day(contact["optedIn"]),
        "Opt In Details": lambda _, contact: str(contact["optInDetails"]),
        "Opted Out": lambda _, contact: "F" if contact["optedOut"] is None else "T",
        "Opted Out Date": lambda _, contact: day(contact["optedOut"]),
        "Opt Out Details": lambda _, contact: str(contact["optOutDetails"]),
        "Email Type": lambda *_: "0",
    }


def export_list(vendor: Silverpop, request: Element) -> Result:
    """ExportList: begin the job that writes contacts to a file."""
    database = vendor.databases[text_of(request, "LIST_ID")]
    kind = text_of(request, "EXPORT_TYPE")
    form = text_of(request, "EXPORT_FORMAT", "CSV")
    encoding = text_of(request, "FILE_ENCODING") or vendor.switches.organization_encoding
    if kind not in _TITLES or form not in SEPARATORS or encoding not in ENCODINGS:
        raise Fault("EXPORT_TYPE, EXPORT_FORMAT or FILE_ENCODING is not valid.")
    if flag_of(request, "ADD_TO_STORED_FILES", empty=True):
        raise Fault("This sandbox exports to the SFTP folder only: leave ADD_TO_STORED_FILES out.")
    zone = vendor.switches.api_user_zone
    window = tuple(_moment(text_of(request, name), zone) for name in ("DATE_START", "DATE_END"))
    by_created = flag_of(request, "USE_CREATED_DATE", empty=vendor.switches.empty_flag_is_true)
    asked = request.find("EXPORT_COLUMNS")
    names = list(database.columns) if asked is None else [(each.text or "").strip() for each in asked]
    moment = datetime.now(ZoneInfo(zone))
    stamp = f"{moment:%b} {moment.day} {moment:%Y %I-%M-%S %p}"
    name = f"{database.name} - {_TITLES[kind]} - {stamp} {vendor.frame.number('export')}.CSV"

    def wanted(contact: Mapping[str, Any]) -> bool:
        date = datetime.fromisoformat(contact["created" if by_created else "modified"]).replace(microsecond=0)
        begin, end = window
        inside = (begin is None or date >= begin) and (end is None or date <= end)
        return inside and _is_chosen(kind, contact)

    async def work(_: str) -> Mapping[str, object]:
        return await _written(vendor, database, names, wanted, name, SEPARATORS[form], ENCODINGS[encoding])

    known = {"LIST_ID": database.id, "LIST_NAME": database.name}
    job = vendor.jobs.begin("ExportList", work, known)
    return Result(tags({"JOB_ID": job, "FILE_PATH": f"/{DOWNLOAD}/{name}"}))


async def _written(
    vendor: Silverpop,
    database: Database,
    names: list[str],
    wanted: Callable[[Mapping[str, Any]], bool],
    file: str,
    separator: str,
    encoding: str,
) -> Mapping[str, object]:
    system = _system(vendor.switches.api_user_zone)
    unknown = [name for name in names if name not in database.columns and name not in system]
    if unknown:
        raise JobFailed(f"Error executing export of list. Details: no column {unknown[0]}")
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator="\r\n")
    writer.writerow(names)
    count = 0
    for number, contact in list(database.contacts.items()):
        if not wanted(contact):
            continue
        values = contact["columns"]
        writer.writerow([values.get(name, "") if name in database.columns else system[name](number, contact)
                         for name in names])  # fmt: skip
        count += 1
        if count % _ROWS_AT_ONCE == 0:
            await asyncio.sleep(0)
    content = vendor.frame.broken("ExportList", text.getvalue().encode(encoding, "replace"))
    (vendor.frame.folder / DOWNLOAD / file).write_bytes(content)
    return {"FILENAME": file, "NUM_PROCESSED": count}


def _moment(text: str, zone: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.strptime(text, DATE_FORM).replace(tzinfo=ZoneInfo(zone))
    except ValueError:
        raise Fault("DATE_START and DATE_END are written MM/dd/yyyy HH:mm:ss.") from None
