"""Every error a user can meet, ordered by how one recovers from it.

An error carries a stable ``code`` (listed in ``docs/reference/errors.md``), a message for a person, the step it
happened in, and a hint that says what to do next. Messages never hold a secret or a person's data.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final


class LandbridgeError(Exception):
    """Base of all errors that are reported to a user without a traceback.

    Args:
        code: Stable identifier such as ``LB-2101``.
        message: What happened, in one or two plain sentences.
        hint: What to do next.
        step: Id of the dataflow step, filled in by the engine when the raiser does not know it.
    """

    def __init__(self, code: str, message: str, *, hint: str = "", step: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.step = step

    def __str__(self) -> str:
        where = f'step "{self.step}": ' if self.step else ""
        hint = f"\n{self.hint}" if self.hint else ""
        return f"{where}{self.message}  [{self.code}]{hint}"


class FlowError(LandbridgeError):
    """The dataflow, its parameters or the command line must be corrected (codes LB-1xxx)."""


class ConnectionFailed(LandbridgeError):
    """The other side cannot be reached or refuses the request for good; fix the connection (LB-2xxx)."""


class AuthError(ConnectionFailed):
    """The credentials were refused. Never retried: a second attempt may lock the account."""


class HostKeyChanged(ConnectionFailed):
    """The server's host key is unknown or differs from the pinned one. Nothing is sent to such a server."""


class TransientError(LandbridgeError):
    """The same call may succeed later: a dropped connection, a time-out, a busy server (LB-3xxx).

    Args:
        code: See LandbridgeError.
        message: See LandbridgeError.
        hint: See LandbridgeError.
        step: See LandbridgeError.
        retry_after_s: Seconds the other side asked to wait, where it said so.
    """

    def __init__(
        self, code: str, message: str, *, hint: str = "", step: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(code, message, hint=hint, step=step)
        self.retry_after_s = retry_after_s


class QuotaError(LandbridgeError):
    """The remote account's quota is used up until ``reset_at``; waiting is not a failed attempt (LB-3xxx)."""

    def __init__(
        self, code: str, message: str, *, hint: str = "", step: str | None = None, reset_at: datetime | None = None
    ) -> None:
        super().__init__(code, message, hint=hint, step=step)
        self.reset_at = reset_at


class DataError(LandbridgeError):
    """The input is damaged as a whole, so that no further record can be read from it (LB-4xxx)."""


class GuardTripped(LandbridgeError):
    """A guard stopped the job before it did harm; a person must approve it once (LB-5xxx)."""


class Stalled(LandbridgeError):
    """A step made no progress for its time limit and was cancelled (LB-6xxx)."""


class Cancelled(LandbridgeError):
    """The job was stopped by a person or a signal (LB-6xxx)."""


class AccessRefused(LandbridgeError):
    """Who asks the service is not known, or may not do this; or a user or token cannot be as asked (LB-8xxx).

    Args:
        code: See LandbridgeError.
        message: See LandbridgeError.
        hint: See LandbridgeError.
        status: The HTTP status that says the same.
        retry_after_s: Whole seconds to wait, where waiting helps.
    """

    def __init__(
        self, code: str, message: str, *, hint: str = "", status: int = 403, retry_after_s: int | None = None
    ) -> None:
        super().__init__(code, message, hint=hint)
        self.status = status
        self.retry_after_s = retry_after_s


class StorageError(LandbridgeError):
    """This machine cannot keep what it must: a full disk, a missing permission (LB-7xxx)."""


FAMILIES: Final[dict[str, tuple[str, str]]] = {
    "1": ("The dataflow", "Correct the dataflow, its parameters or the command line. Nothing was published."),
    "2": (
        "The connection",
        "The other side cannot be reached, or refuses for good. Correct the connection, then run again.",
    ),
    "3": ("For the moment", "The same call may succeed later. Run the job again."),
    "4": (
        "The data",
        (
            "The input is damaged or does not fit. A bad record is rejected and the job goes on; a bad file ends it. "
            "Where another system refused the record, it carries the code of that system, such as Gigya's `403005`."
        ),
    ),
    "5": ("Guards", "A guard stopped the job before it did harm. A person must approve it."),
    "6": ("Stopped jobs", "The job was stopped, made no progress, or its counts did not agree."),
    "7": ("This machine", "This machine cannot keep or run what it must."),
    "8": ("Access", "Log in, or ask somebody whose role is enough. Nothing was changed."),
    "9": ("Faults of the program", "An error in landbridge itself. Please report it."),
}
"""Title and way of recovery of each family of codes, by the first digit."""

CODES: Final[dict[str, str]] = {
    "LB-1102": "A class that a package registers as a component is of none of the kinds of component.",
    "LB-1201": "A text is not a field path.",
    "LB-1301": "A file name cannot be used in a store: it leads out of the folder or holds a forbidden character.",
    "LB-1302": "A host key can be read neither as a fingerprint nor as a public key.",
    "LB-1303": "A server's address is malformed, or would be reached without encryption.",
    "LB-1304": "An account key or private key of an object store cannot be read.",
    "LB-1401": "A component needs an optional library that is not installed.",
    "LB-1402": "A file is larger than the 4 GiB that a ZIP archive without Zip64 can hold.",
    "LB-1403": "The password of a ZIP archive is missing or wrong.",
    "LB-1411": "`publicKey` does not hold a PGP public key.",
    "LB-1412": "A PGP key has expired, is revoked, or is not meant for encryption.",
    "LB-1413": "`privateKey` does not hold a PGP private key.",
    "LB-1414": "The passphrase of a PGP private key is missing or wrong.",
    "LB-1501": "The credentials of the identity site are incomplete.",
    "LB-1502": "The name of a data center cannot be one.",
    "LB-1503": "The private key of an application cannot be read.",
    "LB-1504": "The secret of an application is not base64.",
    "LB-1505": "The identity site's API has no such method.",
    "LB-1506": "The identity site refused a search.",
    "LB-1507": "The environment names an unknown rate tier.",
    "LB-1521": "A step names a database, table or column that the marketing platform lacks or keeps otherwise.",
    "LB-1522": "The address of a marketing platform is missing, or its pod does not exist.",
    "LB-1523": "Changes cannot be read, because the step does not confirm that the API user is set to GMT.",
    "LB-1524": "There is no template of this name, or its form cannot be filled this way.",
    "LB-1601": "A script does not compile.",
    "LB-1602": "A script defines no function `process`.",
    "LB-1603": "A script fails before its first record.",
    "LB-1604": "The function `process` of a script is an async function or a generator.",
    "LB-1605": "`parallel` and `notifyLastRecord` are both set.",
    "LB-1606": "`ECMAScriptVersion` is not a language level.",
    "LB-1611": "An expression does not follow the grammar.",
    "LB-1612": "An expression calls a function or method that does not exist, or with the wrong number of values.",
    "LB-1613": "An expression is too long or nested too deeply.",
    "LB-1621": "A step cannot be tried on its own.",
    "LB-1622": "A script or sample file cannot be read or written.",
    "LB-1623": "There is no script to extract, or no file to embed.",
    "LB-1624": "A file beside the dataflow holds another script than the dataflow; it is not overwritten.",
    "LB-1701": "There is no such dataflow, or no such version of it.",
    "LB-1702": "Several dataflows have the name.",
    "LB-1703": "Somebody else changed the dataflow meanwhile.",
    "LB-1704": "The URL of the database cannot be used.",
    "LB-1705": "There is no such job.",
    "LB-1706": "The job cannot be stopped or repeated in the state that it is in.",
    "LB-1721": "There is no such scheduling, or its dataflow does not exist.",
    "LB-1722": "Several schedulings have the name.",
    "LB-1723": "Somebody else changed the scheduling meanwhile.",
    "LB-1731": "The mark of a dataflow was changed at the same moment.",
    "LB-1741": "The URL of the mail server cannot be used.",
    "LB-1742": "There is no such rule for alerts.",
    "LB-1743": "A rule for alerts cannot be understood.",
    "LB-1744": "An alert is to be sent by e-mail, and no mail server is named.",
    "LB-1751": "The thresholds of guards in a dataflow cannot be understood.",
    "LB-1752": "A dataflow switches the guard of consents off.",
    "LB-1707": "The job does not ask for this approval.",
    "LB-1708": "A number of days for retention is not one.",
    "LB-1709": "A limit on the number of jobs is not a number that can be one.",
    "LB-1710": "The value of a placeholder holds a variable or a reference, which only a dataflow may.",
    "LB-1711": "A job cannot be approved any more, because a newer one of its dataflow has succeeded.",
    "LB-1762": "The name or the type of a connection cannot be used.",
    "LB-1763": "There is a connection of this name already.",
    "LB-1765": "A value of a connection is not understood, or must be given in another way.",
    "LB-1766": "A connection is in use and cannot be removed.",
    "LB-1767": "A connection cannot be tested with what is stored.",
    "LB-1768": "Somebody else changed the connection meanwhile.",
    "LB-1769": "A stored connection would send its secrets to another place than the one they were stored for.",
    "LB-1770": "A changed step of a dataflow would send its stored secrets to another place than they were stored for.",
    "LB-1771": "There is no such reject.",
    "LB-1772": "There is nothing to replay.",
    "LB-1773": "Rejects cannot enter the dataflow at the step that rejected them.",
    "LB-1774": "A replay would replace a whole file with one of the replayed records.",
    "LB-1781": "A text is not an API key, or no site has it.",
    "LB-1782": "There is a site with this API key already.",
    "LB-1783": "The service would be reached from other machines without encryption.",
    "LB-1784": "A TLS certificate or its key cannot be used.",
    "LB-1791": "A request to the API cannot be understood.",
    "LB-1792": "A change through the API does not say which state it is based on.",
    "LB-1793": "What a request wants to change was changed since it was read.",
    "LB-1794": "A cursor is none that the API has given.",
    "LB-1795": "There is nothing at an address of the service.",
    "LB-1796": "An address of the service does not know the method of a request.",
    "LB-1801": "A search query cannot be read.",
    "LB-1901": "A local identity site cannot be kept in this kind of database, or its driver is not installed.",
    "LB-1902": "There is no sandbox of this name.",
    "LB-2101": "The server cannot be reached: wrong name or port, nobody listens, or a firewall is in between.",
    "LB-2102": "The server's host key is not pinned yet. Nothing was sent.",
    "LB-2103": "The server's host key is not the pinned one. Nothing was sent.",
    "LB-2104": "The login was refused. It is not repeated, so that the account is not locked.",
    "LB-2105": "A private key for a login, or a certificate to trust, cannot be used.",
    "LB-2106": "The server's TLS certificate cannot be trusted.",
    "LB-2107": "The server answers but does not speak the protocol, or offers no file service to this user.",
    "LB-2108": "The bucket is in another region than the step says.",
    "LB-2109": "The store refuses requests because this machine's clock is wrong.",
    "LB-2110": "The service that gives Azure signatures answers with something else.",
    "LB-2111": "An HTTP API answered in a way that cannot be understood.",
    "LB-2112": "The server does not offer the host key that is to be pinned. Nothing was pinned.",
    "LB-2121": "The mail server refused a mail for good.",
    "LB-2122": "A webhook refused a message for good.",
    "LB-2123": "The mail server offers no STARTTLS, so a mail would go unencrypted. Nothing was sent.",
    "LB-2124": "The mail server does not speak TLS on its port, though its URL begins with smtps.",
    "LB-2125": "The mail server offers no login, though its URL names a user.",
    "LB-2201": "The folder, bucket or container does not exist.",
    "LB-2202": "There is no permission for the folder or file.",
    "LB-2204": "The path is not a folder, or the file name is too long for it.",
    "LB-2205": "The server refused an operation without saying more.",
    "LB-2206": "The server's disk or the user's quota is full.",
    "LB-2207": "The server cannot replace an existing file in one step, and the step does not allow another way.",
    "LB-2301": "The identity site refused the credentials or lacks a permission.",
    "LB-2302": "The identity site belongs to another data center.",
    "LB-2321": "The marketing platform refuses for good: a permission is missing, or it does not know the call.",
    "LB-2901": "A local identity site cannot listen on its port.",
    "LB-2902": "A sandbox cannot listen on its port.",
    "LB-2903": "The service cannot listen on its address and port.",
    "LB-3101": "The connection was lost and could not be restored.",
    "LB-3102": "The server did not answer in time.",
    "LB-3103": "After an upload the store holds another number of bytes than was sent. The file was not published.",
    "LB-3104": "A file was changed while it was read.",
    "LB-3105": "A file that was listed is gone.",
    "LB-3106": "The store is busy or out of order at the moment.",
    "LB-3201": "The identity site could not do a call in spite of repetitions.",
    "LB-3202": "It is not known whether the identity site did a call.",
    "LB-3203": "The identity site allows no more calls for now.",
    "LB-3204": "The identity site is out of order.",
    "LB-3205": "The cursor of a search is not valid any more.",
    "LB-3206": "The identity site could not give one of the accounts that a search had found.",
    "LB-3207": "A call to the identity site was not made, because the job ended first.",
    "LB-3221": "The marketing platform could not do a call in spite of repetitions.",
    "LB-3222": "A job at the marketing platform did not end in time.",
    "LB-3223": "A file that the marketing platform wrote is not complete.",
    "LB-3208": "The process of a job ended while a record was being written that must not be written twice; it is "
    "rejected, and may have been written.",
    "LB-3301": "The mail server did not take a mail; it is sent again later.",
    "LB-3302": "A webhook did not take a message; it is sent again later.",
    "LB-3303": "The mail server cannot be reached; a mail is sent again later.",
    "LB-4001": "A stream of files began or ended in the middle of a file.",
    "LB-4002": "A file that was already read as records was sent again in another shape.",
    "LB-4003": "Two files of one job have the same name for the same step; one would replace the other.",
    "LB-4101": "A file is not valid JSON.",
    "LB-4102": "A line or array element is not a JSON object; it is rejected.",
    "LB-4103": "A JSON file holds a record of more than 64 MB.",
    "LB-4104": "A JSON file has no array under the key that `wrapField` names.",
    "LB-4105": "A JSON file is cut off: its end is missing.",
    "LB-4201": "A record has characters that the file's character set lacks; it is rejected.",
    "LB-4301": "The header of a DSV file has no end.",
    "LB-4302": "The header of a DSV file names a column twice.",
    "LB-4303": "A line has more or fewer cells than the header; it is rejected.",
    "LB-4304": "A line is not text in the file's character set; it is rejected.",
    "LB-4305": "A quoted value has no end; the line on which it begins is rejected.",
    "LB-4306": "The header of a DSV file is not text in the file's character set.",
    "LB-4307": "A file holds another number of records than the ready file beside it tells.",
    "LB-4401": "A compressed or encrypted file is damaged.",
    "LB-4402": "A compressed or encrypted file is not complete.",
    "LB-4403": "A file is not of the kind that the step expects.",
    "LB-4404": "A ZIP archive holds an unsafe name, or the same name twice.",
    "LB-4405": "A ZIP archive expands to more, or holds more files, than the step allows.",
    "LB-4406": "A compressed file uses a feature that is not supported.",
    "LB-4411": "A PGP file is encrypted for another key.",
    "LB-4421": "A record has no id, or one that the file format cannot carry; it is rejected.",
    "LB-4501": "A value is not a date of the expected form; its record is rejected.",
    "LB-4502": "A value is neither yes nor no; its record is rejected.",
    "LB-4601": "A script took too long.",
    "LB-4602": "A script took too much memory.",
    "LB-4603": "A script failed for a record; the record is rejected.",
    "LB-4604": "A script sent a record to the error path; it is rejected.",
    "LB-4605": "A script gave back something that is not a record; the record is rejected.",
    "LB-4606": "A script failed in its call after the last record.",
    "LB-4607": "A script broke the built-in functions that it runs with.",
    "LB-4608": "The process in which a script runs has ended.",
    "LB-4611": "An expression has no value for a record.",
    "LB-4612": "A regular expression takes too long for one value.",
    "LB-4621": "The identity site refused what one call asked for; its record is rejected.",
    "LB-4622": "Several accounts match a record; it is rejected.",
    "LB-4623": "An account matches a record that the step wants to have none; it is rejected.",
    "LB-4631": "The marketing platform refused a record; it is rejected.",
    "LB-4632": "A job at the marketing platform ended in an error.",
    "LB-4633": "A file cannot be imported by the marketing platform: its header or form does not fit.",
    "LB-4635": "The marketing platform has suppressed an address, and will never mail to it; its record is rejected.",
    "LB-4636": "Whether the marketing platform has given somebody a new address is not known; the record is rejected.",
    "LB-5101": "More rows would be stored at the marketing platform than its limit allows.",
    "LB-5201": "The source is empty, and it was not in the last good run.",
    "LB-5202": "There are too many opt-outs.",
    "LB-5203": "There are too many deactivations.",
    "LB-5204": "There are too many deletions.",
    "LB-5205": "An identifier occurs more than once in one job.",
    "LB-5206": "A record would opt a person in again who has opted out, without a newer consent.",
    "LB-6001": "The job was stopped by a signal.",
    "LB-6002": "A step, or the whole job, made no progress for the time limit.",
    "LB-6003": "Two steps counted different numbers of records, so nothing was published.",
    "LB-6004": "The job ran longer than its time limit.",
    "LB-6005": "The process of the job ended unexpectedly, again and again.",
    "LB-6006": "A job must go on from a journal that is on another machine.",
    "LB-6007": "A step gave more records than it was given, so nothing was published.",
    "LB-6401": "The process that handles OpenPGP made no progress.",
    "LB-7001": "The disk for temporary files is full.",
    "LB-7002": "A file or folder of this machine cannot be used.",
    "LB-7003": "More had to be kept on disk than is allowed, because the columns of a DSV file are not known.",
    "LB-7004": "A job had to keep more records on disk than is allowed.",
    "LB-7005": "Another process works on a job.",
    "LB-7006": "The journal of a job belongs to a dataflow with other steps.",
    "LB-7007": "The consent ledger cannot be read.",
    "LB-7008": "A file cannot be published after its job was interrupted, because its upload is gone.",
    "LB-7101": "The disk of the target folder is full.",
    "LB-7102": "The operating system reports an error for a file or folder.",
    "LB-7103": "The file of pinned host keys cannot be read or written.",
    "LB-7301": "The folder or database of a local identity site cannot be used.",
    "LB-7302": "The credentials or certificates of a local identity site cannot be read or written.",
    "LB-7303": "The folder of a sandbox cannot be used.",
    "LB-7401": "The process that handles OpenPGP failed.",
    "LB-7501": "The database of dataflows and jobs cannot be used.",
    "LB-7502": "Another service uses the data folder.",
    "LB-7503": "A newer version of landbridge made the database.",
    "LB-7504": "The key that seals secrets cannot be read, written or used.",
    "LB-7505": "The key that opens what is sealed in the database is missing, or another one.",
    "LB-7506": "The process of a job cannot be started.",
    "LB-7507": "The key that seals secrets cannot be changed now.",
    "LB-7508": "The service is too busy, or its database too slow, to answer a request.",
    "LB-8001": "A request to the service needs a login or a token.",
    "LB-8002": "The role of a user or a token does not allow a request.",
    "LB-8003": "A token or session is not known, has expired, or was revoked.",
    "LB-8004": "A request of a browser does not prove that it comes from the console of this service.",
    "LB-8005": "A request names a host that the service does not answer for.",
    "LB-8006": "A login was refused: the e-mail address or the password is wrong.",
    "LB-8007": "There were too many logins; the next one has to wait.",
    "LB-8008": "A set-up link is not valid: it was used, has expired, or a newer one was printed.",
    "LB-8009": "Only a person who is logged in with a password may do this, not a token.",
    "LB-8010": "The body of a request is too large.",
    "LB-8011": "The body of a request did not arrive in time.",
    "LB-8021": "A password is too short or cannot be used.",
    "LB-8022": "The e-mail address, name or role of a user cannot be used.",
    "LB-8023": "There is a user with this e-mail address already.",
    "LB-8024": "There is no such user.",
    "LB-8025": "The last admin cannot be removed, switched off, or given a smaller role.",
    "LB-8026": "There is no such token.",
    "LB-8027": "A token cannot be made with this name, role or time.",
    "LB-8028": "There are users already, so that there is nothing to set up.",
    "LB-9001": "An unexpected error within a step.",
    "LB-9002": "An unexpected error of a worker.",
    "LB-9003": "An unexpected error while the service answered a request.",
}
"""What every code means, in one line each; those of the dataflow language stand in ``dataflow.problems``.

A code keeps its meaning for good: a new kind of error gets a new code.
"""
