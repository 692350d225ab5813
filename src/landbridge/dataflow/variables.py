"""Variables, placeholders and secret references in parameters, filled in once per job.

===========================  ==========================================================================
token                        becomes
===========================  ==========================================================================
``${now}``                   start of the job in UTC, ``yyyyMMddHHmmss``: digits only, safe in file names
``${now:PATTERN}``           the same by a pattern of ``java_time``; ``unix`` for seconds since 1970
``${now-1h}`` ``${now+2d}``  shifted by years ``y``, months ``M``, weeks ``w``, days ``d`` (or ``D``), hours
                             ``h``, minutes ``m``, seconds ``s``; years and months by the calendar
``${now-1M:yyyyMM}``         both
``${jobId}``                 id of the running job
``${apiKey}``                API key of the site that the dataflow belongs to
``${dataflowName}``          name of the dataflow
``${env:NAME}``              an environment variable
``${secret:NAME}``           a stored secret; ``<$NAME$>`` means the same
``{{name}}``                 a value given for this run; also inside base64 scripts
===========================  ==========================================================================

A value given for this run is a text: what looks like a variable or a reference in it stays as it is, so that who may
only start a dataflow cannot read its environment. Who runs a dataflow of their own on the command line may ask for more
(``JobValues.values_may_refer``).

A reference to something empty is an error as one to nothing is. What stands behind ``${secret:…}`` is a secret;
what stands behind ``${env:…}`` is one where the parameter or the variable is named like one, so that messages
still tell folders and hosts.

In a parameter ``where`` a time without a pattern becomes milliseconds since 1970, because the query compares
it with a timestamp. In ``replacement``, ``${name}`` may be a named group of the regular expression and is
left alone when it is no variable. Scripts keep their ``${…}``, which is JavaScript.
"""

from __future__ import annotations

import base64
import binascii
import re
from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta
from typing import Any, Final, Literal, Protocol

from landbridge.dataflow import problems as codes
from landbridge.dataflow.java_time import compile_format
from landbridge.dataflow.model import Dataflow, Step
from landbridge.dataflow.problems import DataflowError, Problem, closest, did_you_mean, error
from landbridge.errors import FlowError

MASK: Final = "********"
"""What an exported dataflow holds in place of a secret."""

DEFAULT_PATTERN: Final = "yyyyMMddHHmmss"
"""How ``${now}`` is written. The original's default is not public; digits suit every file store."""

VARIABLE = re.compile(r"\$\{([^{}]*)\}")
"""``${…}``."""
PLACEHOLDER = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")
"""``{{name}}``."""
SCRIPT_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][\w.-]*)\s*\}\}")
"""``{{name}}`` in a script, where other double braces are code."""
UPPER_PLACEHOLDER = re.compile(r"\[\[([A-Z][A-Z0-9_]*)\]\]")
"""``[[NAME]]``, which other tools fill before they upload a dataflow; ``[[:alpha:]]`` is none."""
SECRET_MARK = re.compile(r"<\$([^<>$]+)\$>")
"""``<$NAME$>``."""

_TOKEN = re.compile(r"\$\{(?P<variable>[^{}]*)\}|<\$(?P<mark>[^<>$]+)\$>")
_ANY_TOKEN = re.compile(
    r"\$\{(?P<variable>(?:[^{}]|\{\{[^{}]+\}\})*)\}|<\$(?P<mark>[^<>$]+)\$>"
    r"|\{\{\s*(?P<placeholder>[^{}]+?)\s*\}\}|\[\[(?P<upper>[A-Z][A-Z0-9_]*)\]\]"
)
_NOW = re.compile(r"now\s*(?:([+-])\s*(\d{1,9})\s*([A-Za-z]))?\s*(?::(.*))?", re.DOTALL)
_SECRET_NAME = re.compile(
    r"(pass(word|phrase|wd)?|secret|token|private_?key|account_?key|access_?key|secret_?key|api_?key|user_?key)$",
    re.IGNORECASE,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAMES = ("now", "jobId", "apiKey", "dataflowName")
_UNIT_NAMES: Final = "y M w d h m s"

ReferenceKind = Literal["env", "secret"]


class SecretSource(Protocol):
    """Where ``${env:NAME}`` and ``${secret:NAME}`` are looked up."""

    def find(self, kind: ReferenceKind, name: str, /) -> str | None:
        """The value, or None when there is none."""

    def places(self, kind: ReferenceKind, name: str, /) -> Sequence[str]:
        """Where ``find`` looks, in words for a message: ``the environment variable SFTP_PASSWORD``."""


@dataclass(frozen=True, slots=True)
class EnvironmentSecrets:
    """Takes both kinds of reference from environment variables.

    Attributes:
        environ: Usually ``os.environ``. ``${secret:ftp-key}`` is ``LANDBRIDGE_SECRET_FTP_KEY`` there.
    """

    environ: Mapping[str, str]

    def find(self, kind: ReferenceKind, name: str, /) -> str | None:
        """See SecretSource."""
        return self.environ.get(self._variable(kind, name))

    def places(self, kind: ReferenceKind, name: str, /) -> Sequence[str]:
        """See SecretSource."""
        return [f"the environment variable {self._variable(kind, name)}"]

    @staticmethod
    def _variable(kind: ReferenceKind, name: str) -> str:
        return name if kind == "env" else "LANDBRIDGE_SECRET_" + re.sub(r"\W", "_", name).upper()


@dataclass(frozen=True, slots=True)
class JobValues:
    """What a job knows of itself when it starts.

    Attributes:
        now: The one instant from which all times of the job are counted, with a zone.
        job_id: Id of the job.
        api_key: The site's API key; that of the dataflow when empty.
        placeholders: Values for ``{{name}}``.
        values_may_refer: Whether variables and references in these values are filled in, too. Only for who could write
            them into the dataflow just as well: with it, a value reads the environment.
    """

    now: datetime
    job_id: str
    api_key: str = ""
    placeholders: Mapping[str, str] = field(default_factory=dict)
    values_may_refer: bool = False


@dataclass(frozen=True, slots=True)
class Resolved:
    """A dataflow whose parameters hold no variables any more.

    Attributes:
        flow: Its parameters may hold secrets: never show or store it.
        secrets: The values of secrets that came from references, to be masked in all that is shown or kept.
    """

    flow: Dataflow = field(repr=False)
    secrets: frozenset[str] = field(repr=False)


def resolve(flow: Dataflow, *, job: JobValues, source: SecretSource) -> Resolved:
    """Fill in every variable, placeholder and reference of a dataflow.

    Names and descriptions get their placeholders, too; ids, types and edges stay as they are.

    Raises:
        DataflowError: With a problem for each token that cannot be filled and for each masked secret.
    """
    name = _fill_known(flow.name, job.placeholders)
    filler = _Filler(job=job, source=source, api_key=job.api_key or flow.api_key, dataflow_name=name)
    steps = tuple(
        replace(step, params=filler.params(step, place=f"steps[{index}].params"))
        for index, step in enumerate(flow.steps)
    )
    if filler.problems:
        raise DataflowError(filler.problems)
    filled = replace(flow, name=name, description=_fill_known(flow.description, job.placeholders), steps=steps)
    return Resolved(flow=filled, secrets=frozenset(filler.secrets))


def holds_unresolved(value: Any) -> bool:
    """Whether a value, or anything in it, is known only when a job runs: its type cannot be checked yet."""
    if isinstance(value, str):
        tokens = (VARIABLE, PLACEHOLDER, UPPER_PLACEHOLDER, SECRET_MARK)
        return value == MASK or any(token.search(value) for token in tokens)
    if isinstance(value, dict):
        return any(holds_unresolved(item) for item in value.values())
    return isinstance(value, list) and any(holds_unresolved(item) for item in value)


def is_secret_name(param: str) -> bool:
    """Whether a parameter of this name usually holds a secret: ``password``, ``refreshToken``."""
    return bool(_SECRET_NAME.search(param))


def texts(value: Any, place: str) -> Iterator[tuple[str, str, str]]:
    """Every text in a JSON value as place, name of the nearest key, and text."""
    yield from _texts(value, place, place.rpartition(".")[2])


def placeholders_of(flow: Dataflow) -> frozenset[str]:
    """The names of all placeholders of a dataflow that a value would fill."""
    found = {*PLACEHOLDER.findall(flow.name), *PLACEHOLDER.findall(flow.description)}
    for step in flow.steps:
        for _, key, text in texts(step.params, "params"):
            found.update(placeholders_in(text, key=key))
    return frozenset(found)


def placeholders_in(text: str, *, key: str) -> list[str]:
    """The names of the placeholders in the text of a parameter ``key``, each once."""
    if key == "script":
        return list(dict.fromkeys(SCRIPT_PLACEHOLDER.findall(decode_script(text) or text)))
    return list(dict.fromkeys((*PLACEHOLDER.findall(text), *UPPER_PLACEHOLDER.findall(text))))


def refers(value: str) -> bool:
    """Whether the value of a placeholder holds a variable, a reference or a placeholder of its own."""
    if SECRET_MARK.search(value) or PLACEHOLDER.search(value):
        return True
    return any(_is_variable(inner) for inner in VARIABLE.findall(value))


def check_variable(inner: str) -> None:
    """Check what stands between ``${`` and ``}``.

    Raises:
        FlowError: LB-1040, no such variable; LB-1041, a pattern or shift that cannot be understood.
    """
    parsed = _parse(inner)
    if isinstance(parsed, _Now):
        parsed.render(datetime(2000, 1, 1, tzinfo=UTC), where=False)


def steps_with_time_in_where(flow: Dataflow) -> tuple[str, ...]:
    """Ids of the steps whose ``where`` counts from ``${now}``: they need a full extract."""
    return tuple(
        step.id
        for step in flow.steps
        if any(key == "where" and re.search(r"\$\{\s*now", text) for _, key, text in texts(step.params, "params"))
    )


def decode_script(script: str) -> str | None:
    """The text of a base64 script, or None when it is not base64 of UTF-8 text.

    Blanks, missing padding and a superfluous last character, which public dataflows have, are tolerated.
    """
    letters = re.sub(r"\s", "", script).rstrip("=").replace("-", "+").replace("_", "/")
    if len(letters) % 4 == 1:
        letters = letters[:-1]
    try:
        return base64.b64decode(letters + "=" * (-len(letters) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class _Now:
    amount: int
    unit: str
    pattern: str | None

    def render(self, now: datetime, *, where: bool) -> str:
        try:
            moment = _shifted(now.astimezone(UTC), self.amount, self.unit)
        except (OverflowError, ValueError):
            message = f"a shift of {self.amount:+d}{self.unit} leaves the calendar, which has the years 1 to 9999"
            raise FlowError(codes.BAD_TIME, message, hint="Shift by less.") from None
        if self.pattern is None and where:
            return str((moment - _EPOCH) // timedelta(milliseconds=1))
        return compile_format(self.pattern or DEFAULT_PATTERN)(moment)


@dataclass(frozen=True, slots=True)
class _Named:
    name: str


@dataclass(frozen=True, slots=True)
class _Reference:
    kind: ReferenceKind
    name: str


def _parse(inner: str) -> _Now | _Named | _Reference:
    text = inner.strip()
    if match := _NOW.fullmatch(text):
        sign, amount, unit, pattern = match.groups()
        if unit is not None:
            unit = unit if unit in "Mm" else unit.lower()
            if unit not in _UNIT_NAMES:
                message = f'"{unit}" in ${{{text}}} is not a unit of time'
                hint = f"The units are {_UNIT_NAMES}: years, Months, weeks, days, hours, minutes, seconds."
                raise FlowError(codes.BAD_TIME, message, hint=hint)
        return _Now(int(f"{sign or ''}{amount or 0}"), unit or "s", pattern or None)
    if text in _NAMES:
        return _Named(text)
    kind, _, name = text.partition(":")
    if kind in ("env", "secret") and name:
        return _Reference("env" if kind == "env" else "secret", name.strip())
    known = "The variables are ${now}, ${jobId}, ${apiKey}, ${dataflowName}, ${env:NAME} and ${secret:NAME}."
    if text.startswith("now") and not text[3:4].isalnum():
        message = f"the time ${{{text}}} cannot be understood"
        raise FlowError(codes.BAD_TIME, message, hint="Write for example ${now}, ${now-1h} or ${now-1d:yyyyMMdd}.")
    hint = did_you_mean(kind, (*_NAMES, "env:NAME", "secret:NAME"), otherwise=known)
    raise FlowError(codes.UNKNOWN_VARIABLE, f"there is no variable ${{{text}}}", hint=hint)


def _is_variable(inner: str) -> bool:
    try:
        _parse(inner)
    except FlowError as failure:
        return failure.code != codes.UNKNOWN_VARIABLE
    return True


def _shifted(moment: datetime, amount: int, unit: str) -> datetime:
    match unit:
        case "y" | "M":
            months = moment.year * 12 + moment.month - 1 + amount * (12 if unit == "y" else 1)
            year, month = divmod(months, 12)
            return moment.replace(year=year, month=month + 1, day=min(moment.day, _days(year, month + 1)))
        case "w":
            return moment + timedelta(weeks=amount)
        case "d":
            return moment + timedelta(days=amount)
        case "h":
            return moment + timedelta(hours=amount)
        case "m":
            return moment + timedelta(minutes=amount)
    return moment + timedelta(seconds=amount)


def _days(year: int, month: int) -> int:
    """Days of the month; for a year that ``replace`` will refuse anyway, any number will do."""
    return monthrange(year, month)[1] if MINYEAR <= year <= MAXYEAR else 31


@dataclass(slots=True)
class _Filler:
    """One walk over all parameters of a dataflow; collects problems instead of stopping at one."""

    job: JobValues
    source: SecretSource
    api_key: str
    dataflow_name: str
    problems: list[Problem] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)

    def params(self, step: Step, *, place: str) -> dict[str, Any]:
        return {k: self._value(v, step=step.id, place=f"{place}.{k}", key=k) for k, v in step.params.items()}

    def _value(self, value: Any, *, step: str, place: str, key: str) -> Any:
        if isinstance(value, dict):
            return {k: self._value(v, step=step, place=f"{place}.{k}", key=k) for k, v in value.items()}
        if isinstance(value, list):
            return [self._value(v, step=step, place=f"{place}[{i}]", key=key) for i, v in enumerate(value)]
        if not isinstance(value, str):
            return value
        if key == "script":
            return self._script(value)
        return self._text(value, step=step, place=place, key=key)

    def _script(self, script: str) -> str:
        """Only placeholders that have a value are replaced: other double braces may be JavaScript."""
        code = decode_script(script)
        filled = _fill_known(script if code is None else code, self.job.placeholders, token=SCRIPT_PLACEHOLDER)
        if filled == (script if code is None else code):
            return script
        return filled if code is None else base64.b64encode(filled.encode()).decode()

    def _text(self, text: str, *, step: str, place: str, key: str) -> str:
        if text == MASK:
            message = f"{name_of(place)} is masked: the dataflow was exported without the secret"
            hint = f"Put a reference in its place, such as {suggested_reference(step, key)}."
            self.problems.append(error(codes.MASKED_VALUE, message, step=step, field=place, hint=hint))
            return ""
        return self._filled(text, step=step, place=place, key=key)

    def _filled(self, text: str, *, step: str, place: str, key: str) -> str:
        def fail(code: str, message: str, hint: str) -> str:
            self.problems.append(error(code, message, step=step, field=place, hint=hint))
            return ""

        def placeholder(match: re.Match[str]) -> str:
            name = match.groupdict().get("placeholder") or match[1]
            if name in self.job.placeholders:
                return self.job.placeholders[name]
            return fail(codes.UNFILLED_PLACEHOLDER, *self._unfilled(match[0], name, place=place))

        def named(text: str) -> str:
            """What stands in a token, its own placeholders filled."""
            return _fill_known(PLACEHOLDER.sub(placeholder, text), self.job.placeholders, token=UPPER_PLACEHOLDER)

        def token(match: re.Match[str]) -> str:
            try:
                if match["mark"]:
                    return self._reference(_Reference("secret", named(match["mark"]).strip()), key=key)
                return self._variable(match["variable"], named(match["variable"]), key=key)
            except FlowError as failure:
                if failure.code == codes.UNKNOWN_VARIABLE and key == "replacement":
                    return match[0]
                return fail(failure.code, f"{name_of(place)}: {failure.message}", failure.hint)

        if self.job.values_may_refer:
            # One pass for variables and marks, so that a secret which looks like one of them is not read again.
            return _TOKEN.sub(token, named(text))

        def any_token(match: re.Match[str]) -> str:
            if match["placeholder"]:
                return placeholder(match)
            return self.job.placeholders.get(match["upper"], match[0]) if match["upper"] else token(match)

        # One pass for everything, so that neither secrets nor the values of placeholders are read again.
        return _ANY_TOKEN.sub(any_token, text)

    def _unfilled(self, written: str, name: str, *, place: str) -> tuple[str, str]:
        """Message and hint for a placeholder without a value."""
        close = closest(name, self.job.placeholders)
        hint = f"Set it with --set {name}=value" + (f'; "{close}" was given.' if close else ".")
        return f"{name_of(place)} holds the placeholder {written}, which has no value", hint

    def _variable(self, written: str, inner: str, *, key: str) -> str:
        """A variable's value; ``written`` is what the dataflow says, ``inner`` the same with placeholders filled."""
        parsed = _parse(inner)
        if isinstance(parsed, _Reference) and not written.strip().startswith(f"{parsed.kind}:"):
            # Where only the value of a placeholder makes it a reference, who starts the job would choose it.
            raise FlowError(codes.UNKNOWN_VARIABLE, f"${{{written}}} is no reference as it is written in the dataflow")
        if isinstance(parsed, _Now):
            return parsed.render(self.job.now, where=key == "where")
        if isinstance(parsed, _Reference):
            return self._reference(parsed, key=key)
        values = {"jobId": self.job.job_id, "apiKey": self.api_key, "dataflowName": self.dataflow_name}
        value = values[parsed.name]
        if not value:
            message = f"${{{parsed.name}}} has no value"
            hint = 'Add the site\'s "apiKey" to the dataflow.' if parsed.name == "apiKey" else ""
            raise FlowError(codes.NO_VALUE, message, hint=hint or "Give the dataflow a name.")
        if key == "fileName" and parsed.name == "dataflowName":
            return re.sub(r"[/\\]", "_", value)  # a slash would make a folder
        return value

    def _reference(self, reference: _Reference, *, key: str) -> str:
        value = self.source.find(reference.kind, reference.name)
        if not value:  # an empty password would mean "no password": an archive that is not encrypted
            noun = "environment variable" if reference.kind == "env" else "secret"
            looked = "; ".join(self.source.places(reference.kind, reference.name))
            message = f'the {noun} "{reference.name}" is {"not set" if value is None else "set, but empty"}'
            raise FlowError(codes.UNRESOLVED_REFERENCE, message, hint=f"Looked in: {looked}.")
        if reference.kind == "secret" or is_secret_name(key) or is_secret_name(reference.name):
            self.secrets.add(value)
        return value


def name_of(place: str) -> str:
    """The parameter's name for a message: what stands behind ``params`` in its place."""
    return place.partition(".params.")[2]


def suggested_reference(step: str, key: str) -> str:
    """A reference to write in place of a secret: ``${secret:sftp-password}``."""
    return f"${{secret:{re.sub(r'[^A-Za-z0-9]+', '-', step).strip('-').lower() or 'step'}-{key}}}"


def _fill_known(text: str, values: Mapping[str, str], *, token: re.Pattern[str] = PLACEHOLDER) -> str:
    """Fill the placeholders that have a value and leave the others."""
    return token.sub(lambda match: values.get(match[1], match[0]), text)


def _texts(value: Any, place: str, key: str) -> Iterator[tuple[str, str, str]]:
    if isinstance(value, str):
        yield place, key, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _texts(item, f"{place}.{name}", name)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, f"{place}[{index}]", key)
