"""Ready dataflows, and the forms that fill them.

A template is ``NAME.json``: a dataflow with ``{{placeholders}}`` for what differs from site to site. With a form,
``NAME.form.json`` (see ``forms.py``), ``Template.fill`` makes a dataflow of the values that a person entered:

- ``"{{field}}"`` alone becomes the value in its own type (a list, a number); within a text it becomes text. As the
  member of a list, a list gives its members.
- ``{{field|targets}}`` and ``{{field|sources}}`` are the sides of a list of field pairs; ``{{field|joined}}`` is a list
  as one text with commas. Other names stay placeholders, which a run fills in.
- A step with ``"when": {"field": ["value", …]}`` is left out unless the field has one of these values; the steps before
  it then lead to the steps behind it. ``{"when": …, "value": …}`` does the same for a parameter.
- A parameter whose field is not shown or empty is left out, and so is such a field in a text, with the comma before it.

A form may hold ``"use": ["silverpop"]``, which puts the fields of ``fields/silverpop.json`` before its own, and
``"scheduling"``: a scheduling with placeholders, written next to the dataflow.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

from landbridge.dataflow import Dataflow
from landbridge.errors import FlowError
from landbridge.templates.filling import Filled, filled
from landbridge.templates.forms import Form

_FLOW, _FORM = ".json", ".form.json"


@dataclass(frozen=True, slots=True)
class Template:
    """A ready dataflow.

    Attributes:
        name: As in ``landbridge templates new NAME``.
        flow: The dataflow with its placeholders.
        form: What to ask for; None where the placeholders are filled in at each run.
    """

    name: str
    flow: Dataflow
    form: Form | None

    def fill(self, given: dict[str, object]) -> Filled:
        """The dataflow with these values, and its scheduling; without a form the dataflow as it stands.

        Raises:
            FlowError: LB-1524; the values do not fit the form, or there is none for them.
        """
        if self.form is None:
            if given:
                raise FlowError(
                    "LB-1524",
                    f'the template "{self.name}" has no form to fill',
                    hint="Its placeholders are filled when it runs: landbridge run FLOW --set name=value",
                )
            return Filled(self.flow, None)
        return filled(self.flow, self.form, self.form.read(given))


def load(name: str) -> Template:
    """The template ``name``.

    Raises:
        FlowError: LB-1524; there is none of that name.
    """
    if name not in names():
        raise FlowError("LB-1524", f'there is no template "{name}"', hint=f"There are: {', '.join(names())}.")
    form = files(__name__) / f"{name}{_FORM}"
    return Template(name, template(name), Form.load(form.read_bytes(), shared=_shared) if form.is_file() else None)


def template(name: str) -> Dataflow:
    """The dataflow of the template ``name``, without ``.json``.

    Raises:
        FileNotFoundError: There is none of that name.
    """
    source = files(__name__) / f"{name}{_FLOW}"
    return Dataflow.load(source.read_bytes(), source=f"{name}{_FLOW}")


def names() -> list[str]:
    """The names of all templates, sorted."""
    found = [entry.name for entry in files(__name__).iterdir() if entry.name.endswith(_FLOW)]
    return sorted(name.removesuffix(_FLOW) for name in found if not name.endswith(_FORM))


def _shared(name: str) -> bytes:
    return (files(__name__) / "fields" / f"{name}{_FLOW}").read_bytes()
