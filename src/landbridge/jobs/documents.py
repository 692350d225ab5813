"""Dataflows as they are stored: the JSON with masked secrets, and the secrets sealed beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from landbridge.components.catalogue import InstalledComponents
from landbridge.dataflow import ComponentInfo, Dataflow, Step
from landbridge.dataflow.connections import moved
from landbridge.dataflow.parameters import map_secrets
from landbridge.dataflow.variables import MASK
from landbridge.errors import FlowError
from landbridge.jobs.db_dataflows import Content, VersionRow
from landbridge.jobs.vault import Vault

Secrets = dict[str, dict[str, str]]
"""Secrets by step id and place within its parameters."""

_NOT_STORABLE: Final = re.compile("[\ud800-\udfff]|(?<!\\\\)(?:\\\\\\\\)*\\\\u0000")


@dataclass(frozen=True, slots=True)
class Documents:
    """Turns dataflows into what the database keeps, and back."""

    vault: Vault

    def content(self, flow: Dataflow, *, before: VersionRow | None = None) -> Content:
        """What to store of ``flow``.

        Args:
            flow: The dataflow; a masked secret keeps the value that it has in ``before``.
            before: The version that this one follows.

        Raises:
            FlowError: LB-1770, a step would send a secret that it keeps to another place than it was stored for.
        """
        masked, given = _split(flow)
        kept = self._secrets(before)
        if before is not None and kept:
            _check_places(flow, self.masked(before), given, kept)
        secrets = {
            step: found
            for step, places in given.items()
            if (found := {place: value for place, text in places.items() if (value := _value(text, kept, step, place))})
        }
        return Content(
            name=flow.name,
            description=flow.description,
            document=masked.dump(),
            sealed=self.vault.seal(secrets) if secrets else None,
            api_key=flow.api_key,
        )

    def masked(self, row: VersionRow) -> Dataflow:
        """The dataflow as people see it."""
        return Dataflow.load(row.document, source=row.name)

    def whole(self, row: VersionRow) -> Dataflow:
        """The dataflow with its secrets: for running only."""
        secrets = self._secrets(row)
        flow = self.masked(row)
        catalogue = InstalledComponents()
        return replace(
            flow,
            steps=tuple(_unmask(step, catalogue.describe(step.type), secrets.get(step.id, {})) for step in flow.steps),
        )

    def same(self, row: VersionRow, content: Content) -> bool:
        """Whether a version says what ``content`` says, secrets included."""
        own = self.vault.unseal(content.sealed) if content.sealed else {}
        return row.document == content.document and self._secrets(row) == own

    def _secrets(self, row: VersionRow | None) -> Secrets:
        found: Secrets = self.vault.unseal(row.sealed) if row and row.sealed else {}
        return found


def _check_places(flow: Dataflow, before: Dataflow, given: Secrets, kept: Secrets) -> None:
    """Refuse that a mask takes a secret along: whoever edits a dataflow need not know it, and must not learn it so."""
    catalogue = InstalledComponents()
    for step in flow.steps:
        masked = [place for place, text in given[step.id].items() if text == MASK and kept.get(step.id, {}).get(place)]
        old = before.step(step.id)
        what = moved(old, step, catalogue) if masked and old is not None else None
        if what is not None:
            raise FlowError(
                "LB-1770",
                f"with another {what} the step would send its stored secrets to another place",
                hint=f"Give them again instead of the mask: {', '.join(sorted(masked))}.",
                step=step.id,
            )


def storable(document: Any) -> bool:
    """Whether a JSON value can be kept in any database: neither the character zero nor half of a surrogate pair."""
    return not _NOT_STORABLE.search(json.dumps(document, ensure_ascii=False))


def _split(flow: Dataflow) -> tuple[Dataflow, Secrets]:
    catalogue = InstalledComponents()
    secrets: Secrets = {step.id: {} for step in flow.steps}
    steps = tuple(_mask(step, catalogue.describe(step.type), secrets[step.id]) for step in flow.steps)
    return replace(flow, steps=steps), secrets


def _mask(step: Step, info: ComponentInfo | None, found: dict[str, str]) -> Step:
    """The step with masked secrets, which are added to ``found``."""
    params = map_secrets(step, info, lambda place, text: _take(found, place, text))
    return replace(step, params=params) if found else step


def _unmask(step: Step, info: ComponentInfo | None, secrets: Mapping[str, str]) -> Step:
    def known(place: str, text: str) -> str:
        return secrets.get(place, text)

    return replace(step, params=map_secrets(step, info, known)) if secrets else step


def _take(found: dict[str, str], place: str, text: str) -> str:
    found[place] = text
    return MASK


def _value(text: str, kept: Mapping[str, Mapping[str, str]], step: str, place: str) -> str | None:
    return kept.get(step, {}).get(place) if text == MASK else text
