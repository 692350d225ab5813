"""Audiences of Lytics: who is in one, and in which others."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self

from pydantic import field_validator, model_validator

from landbridge.components.base import RecordReader
from landbridge.components.check import Finding
from landbridge.components.datasource import gigya_query as queries
from landbridge.components.datasource.gigya_pages import search
from landbridge.components.datasource.gigya_site import SiteParams, login_of
from landbridge.components.datasource.lytics_held import Held, Once, told
from landbridge.components.datasource.parallel import for_each
from landbridge.components.params import Address, FieldPath, Param, TextList
from landbridge.components.registry import component
from landbridge.errors import FlowError
from landbridge.records import Batch, objects
from landbridge.records.path import parse
from landbridge.remote.lytics import DEFAULT_URL, Audience, Client, LyticsLogin, User, client

_SHOWN: Final = 10
_SAMPLE: Final = 50
"""UIDs that are tried on the site, where something casts doubt on the field."""
_FEW: Final = 0.05
"""A smaller share than this is hardly anybody."""
_SEGMENTS: Final = "segments"
_SEARCH_REFUSED: Final = "LB-1506"


class LyticsAudienceParams(SiteParams):
    """Parameters of the reader. The site's are needed only with ``storage``."""

    access_token: str = Param(
        "Access token of the account (Account, Security, Access Tokens).",
        secret=True,
        example="${secret:lytics-accessToken}",
    )
    lytics_url: Address = Param(
        "Address of the API. http:// only on this machine.", default=DEFAULT_URL, example="http://127.0.0.1:8700/lytics"
    )
    audience: str = Param(
        "The audience, by id or slug. The id stays when the audience is renamed.",
        example="f1d2d2f924e986ac86fdf7b36c94bcdf",
    )
    gigya_id_field: str = Param("Field of a user that holds the UID of the account.", example="gigya_uid")
    fields: TextList = Param(
        "Further fields of a user to read, into the object `user`.", default=[], example=["email", "score"]
    )
    all_audiences: bool = Param(
        "Tell of memberships in audiences that are not public, too. Scans that bring memberships along tell only of "
        "public ones, so each user is then asked for.",
        default=False,
    )
    storage: Literal["none", "account", "dataStore"] = Param(
        "Where the memberships are kept on the site. Then only those are read that changed, and those of who left the "
        "audience; with none, the whole audience is read.",
        default="none",
    )
    stored_field: FieldPath = Param("Field on the site that holds the slugs.", default="data.lytics_segments")
    stored_ids_field: FieldPath | None = Param(
        "Field on the site that holds the ids. With it people who left are found after the audience was renamed.",
        default=None,
        example="data.lytics_segment_ids",
    )
    stored_type: str = Param("Type of the data store's objects.", default="lytics_segments")
    unknown_are_gone: bool = Param(
        "People who left are taken for removed at Lytics even if hardly anybody is known there by gigyaIdField.",
        default=False,
    )
    page_size: int = Param("Users on a page of the scan.", default=100, ge=1, le=1000)
    max_connections: int = Param("Calls at a time.", default=16, ge=1, le=64)
    timeout: int = Param("Longest wait for a single answer.", default=120, ge=10, le=600, unit="s")

    @field_validator("stored_type")
    @classmethod
    def _is_name(cls, value: str) -> str:
        return queries.source_name(value)

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.stored_ids_field == self.stored_field:
            raise ValueError("storedField and storedIdsField must not be the same")
        return self

    @property
    def login(self) -> LyticsLogin:
        """The account and the token."""
        return LyticsLogin(self.lytics_url, self.access_token)


@dataclass(slots=True)
class _Told:
    """What the job's trace says at the end."""

    users: int = 0
    without_id: int = 0
    repeated: int = 0
    unchanged: int = 0
    left: int = 0
    with_id: int = 0
    """Users of the audience that had a Gigya ID."""
    sample: list[str] = field(default_factory=list)
    """The first of their UIDs."""


@component("datasource.read.lytics.audience", title="Read an audience of Lytics")
class LyticsAudienceReader(RecordReader):
    """Read the users of an audience with the audiences that each is in.

    A record has `UID`, `segments` (slugs), `segmentIds`, `isMember`, and `user` with further fields. With `storage`
    only changes against the site are read: whose memberships differ, and who left the audience, with `isMember` false
    and the memberships that are left, which may be none. Users without a UID are counted in the trace and left out.
    """

    Params = LyticsAudienceParams
    params: LyticsAudienceParams

    async def read(self) -> AsyncGenerator[Batch]:
        """Yield the users.

        Raises:
            FlowError: LB-1521; there is no such audience, none of its users has the field, or the field seems to hold
                something else than UIDs.
            LandbridgeError: See ``remote.lytics.Client`` and, with ``storage``, ``gigya_pages.search``.
        """
        async with self._open() as api:
            audience = await api.audience(self.params.audience)
            ids = {each.slug_name: each.id for each in await api.audiences()}
            counted = _Told()
            async with self._held(audience) as held:
                async with aclosing(self._members(api, audience, counted)) as pages:
                    async for page in pages:
                        if batch := self._batch(page, ids, held, counted, is_member=True):
                            yield batch
                if counted.users and not counted.with_id:
                    raise self._without_field(f"none of the {counted.users:,} users of the audience is")
                if held is not None:
                    async with aclosing(self._leavers(api, held, counted)) as chunks:
                        async for chunk in chunks:
                            if batch := self._batch(chunk, ids, held, counted, is_member=False):
                                yield batch
            self._tell(audience, counted)

    async def test(self) -> AsyncGenerator[Finding]:
        """Token, audience, Gigya ID field, and the site."""
        params = self.params
        async with self._open() as api:
            known = await api.audiences()
            yield Finding("login", "ok", f"{api.login.place} accepts the token; it tells of {len(known):,} audiences")
            if not any(params.audience in (each.id, each.slug_name) for each in known):
                names = ", ".join(f"{each.slug_name} ({each.id})" for each in known[:_SHOWN])
                message = f'there is no audience "{params.audience}"'
                yield Finding("audience", "failed", message, f"There are: {names}.")
                return
            audience = await api.audience(params.audience)
            size = await api.size(audience)
            shown = "" if size is None else f" with {size:,} users"
            yield Finding("audience", "ok", f'"{audience.name or audience.slug_name}"{shown}')
            if not (audience.is_public or params.all_audiences):
                message = "it is not public, so that memberships do not tell of it"
                yield Finding("audience", "warning", message, "Make it public, or set allAudiences.")
            async with aclosing(api.scan(audience, page_users=params.page_size)) as pages:
                users: list[User] = await anext(pages, [])
            yield self._field_finding(users)
        if params.storage != "none":
            await self._noted(None, 'contains "landbridge-test"', limit=1)
            yield Finding("site", "ok", f"{login_of(params).place} answers, and {params.stored_field} can be searched")
            if uids := [uid for user in users for uid in self._uids(user)][:_SAMPLE]:
                yield self._accounts_finding(len(uids), await self._with_account(uids))

    def _open(self) -> AbstractAsyncContextManager[Client]:
        params = self.params
        return client(params.login, connections=params.max_connections, timeout_s=params.timeout)

    async def _members(
        self, api: Client, audience: Audience, counted: _Told
    ) -> AsyncGenerator[list[tuple[str, list[str], User]]]:
        """UID, slugs and fields of the users in the audience, each UID once."""
        once = Once()
        async with aclosing(api.scan(audience, page_users=self.params.page_size)) as pages:
            async for page in pages:
                self.services.progress()
                counted.users += len(page)
                users = [(uid, user) for user in page for uid in self._uids(user)]
                counted.without_id += sum(1 for user in page if not self._uids(user))
                is_new = once.new([uid for uid, _ in users])
                fresh = [each for each, new in zip(users, is_new, strict=True) if new]
                counted.repeated += len(users) - len(fresh)
                counted.with_id += len(fresh)
                counted.sample += [uid for uid, _ in fresh[: _SAMPLE - len(counted.sample)]]
                yield await self._with_memberships(api, fresh)

    async def _leavers(
        self, api: Client, held: Held, counted: _Told
    ) -> AsyncGenerator[list[tuple[str, list[str], User]]]:
        """The same of those who, as the site says, are in the audience, and whom the scan did not name."""
        # Whoever the site says is in the audience proves the field right: they are known by it, but for a few.
        is_proven = self.params.unknown_are_gone
        matched = held.seen
        for uids in held.unseen():
            self.services.progress()
            found = await self._with_memberships(api, [(uid, {}) for uid in uids])
            counted.left += len(uids)
            matched += len(found)
            if not is_proven and matched < _FEW * (held.seen + counted.left):
                if not await self._is_proven_on_site(counted):
                    raise self._without_field(_none_of(matched, held.seen + counted.left))
                is_proven = True
            known = {uid for uid, _, _ in found}
            yield found + [(uid, [], {}) for uid in uids if uid not in known]

    async def _is_proven_on_site(self, counted: _Told) -> bool:
        """Whether the site has accounts of the UIDs that the audience's users have."""
        return bool(counted.sample) and await self._with_account(counted.sample) >= _FEW * len(counted.sample)

    async def _with_account(self, uids: Sequence[str]) -> int:
        """How many of some UIDs have an account on the site."""
        listed = ", ".join(queries.literal(uid) for uid in uids)
        query = queries.build(["UID"], "accounts", conditions=[f"UID IN ({listed})"], limit=len(uids))
        found = 0
        async with aclosing(search(self.params, "accounts.search", query, services=self.services)) as batches:
            async for batch in batches:
                found += batch.num_rows
        return found

    async def _with_memberships(
        self, api: Client, users: Sequence[tuple[str, User]]
    ) -> list[tuple[str, list[str], User]]:
        """The users with their slugs; without those whom Lytics does not know any more."""
        params = self.params
        found: dict[int, tuple[str, list[str], User]] = {}

        async def ask(place: int) -> None:
            uid, user = users[place]
            whole: User | None = user
            if params.all_audiences or _SEGMENTS not in user:
                whole = await api.user(params.gigya_id_field, uid, all_audiences=params.all_audiences)
            if whole is not None:
                slugs = sorted(set(_texts(whole.get(_SEGMENTS))))
                found[place] = uid, slugs, {**whole, **user}

        await for_each(range(len(users)), ask, at_a_time=params.max_connections)
        return [found[place] for place in sorted(found)]

    def _batch(
        self,
        users: Sequence[tuple[str, list[str], User]],
        ids: Mapping[str, str],
        held: Held | None,
        counted: _Told,
        *,
        is_member: bool,
    ) -> Batch | None:
        """Records of users whose memberships the site lacks; None where there are none."""
        known = [sorted({ids[slug] for slug in slugs if slug in ids}) for _, slugs, _ in users]
        is_changed = [True] * len(users)
        if held is not None:
            texts = [self._told(slugs, of_user) for (_, slugs, _), of_user in zip(users, known, strict=True)]
            is_changed = held.changed([(uid, text) for (uid, _, _), text in zip(users, texts, strict=True)])
            counted.unchanged += is_changed.count(False)
        rows = [
            {
                "UID": uid,
                "segments": slugs,
                "segmentIds": of_user,
                "isMember": is_member,
                "user": {name: user[name] for name in self.params.fields if name in user},
            }
            for (uid, slugs, user), of_user, changed in zip(users, known, is_changed, strict=True)
            if changed
        ]
        return Batch.from_objects(rows) if rows else None

    @asynccontextmanager
    async def _held(self, audience: Audience) -> AsyncIterator[Held | None]:
        """What the site holds of the audience; None where nobody asks for it."""
        if self.params.storage == "none":
            yield None
            return
        held = Held(self.services.spool_dir / f"{self.services.step_id}-held.jsonl")
        try:
            await self._noted(held, f"contains {queries.literal(audience.slug_name)}", id=audience.id)
            held.complete()
            yield held
        finally:
            held.close()

    async def _noted(self, held: Held | None, test: str, *, id: str = "", limit: int = 1000) -> None:
        """Note what the site holds where the stored field fulfils a test."""
        params = self.params
        places = [params.stored_field, *([params.stored_ids_field] if params.stored_ids_field else [])]
        tests = [f"{params.stored_field} {test}"]
        if params.stored_ids_field and id:
            tests.append(f"{params.stored_ids_field} contains {queries.literal(id)}")
        is_account = params.storage == "account"
        query = queries.build(
            ["UID", *places],
            "accounts" if is_account else params.stored_type,
            conditions=[" OR ".join(tests)],
            limit=limit,
        )
        paths = [parse(place) for place in places]
        try:
            async with aclosing(self._searched(query)) as found:
                async for batch in found:
                    accounts = [
                        (str(account["UID"]), told(*(_texts(objects.get(account, path)) for path in paths)))
                        for account in batch.to_objects()
                        if account.get("UID")
                    ]
                    if held is not None:
                        held.add(accounts)
        except FlowError as refused:
            if is_account or refused.code != _SEARCH_REFUSED or await self._has_type():
                raise
            self.services.log("info", f"the data store has no {params.stored_type} yet; the first one makes the type")

    async def _has_type(self) -> bool:
        """Whether the data store knows the type; the API refuses to search for one of which no object was stored."""
        try:
            async with aclosing(self._searched(queries.build(["oid"], self.params.stored_type, limit=1))) as found:
                async for _ in found:
                    pass
        except FlowError as refused:
            if refused.code != _SEARCH_REFUSED:
                raise
            return False
        return True

    def _searched(self, query: str) -> AsyncGenerator[Batch]:
        method = "accounts.search" if self.params.storage == "account" else "ds.search"
        return search(self.params, method, query, services=self.services)

    def _told(self, slugs: Sequence[str], ids: Sequence[str]) -> str:
        return told(slugs, ids) if self.params.stored_ids_field else told(slugs)

    def _uids(self, user: User) -> list[str]:
        return _texts(user.get(self.params.gigya_id_field))

    def _without_field(self, who: str) -> FlowError:
        return FlowError(
            "LB-1521",
            f'{who} known at Lytics by the field "{self.params.gigya_id_field}"',
            hint="Correct gigyaIdField. If these people were all removed at Lytics, set unknownAreGone to true.",
        )

    def _field_finding(self, users: Sequence[User]) -> Finding:
        name = self.params.gigya_id_field
        if not users:
            return Finding("Gigya ID field", "warning", "the audience is empty, so that it cannot be tried")
        having = sum(1 for user in users if self._uids(user))
        message = f"{having:,} of the first {len(users):,} users have {name}"
        if having:
            return Finding("Gigya ID field", "ok", message)
        return Finding("Gigya ID field", "failed", message, "Name the field that holds the UID of the account.")

    def _accounts_finding(self, tried: int, having: int) -> Finding:
        name = self.params.gigya_id_field
        message = f"{having:,} of {tried:,} values of {name} are UIDs of accounts on the site"
        if having >= _FEW * tried:
            return Finding("accounts", "ok", message)
        return Finding("accounts", "failed", message, "Name the field that holds the UID of the account.")

    def _tell(self, audience: Audience, counted: _Told) -> None:
        facts = {
            "without a UID, left out": counted.without_id,
            "named twice": counted.repeated,
            "left the audience": counted.left,
            "unchanged, not sent": counted.unchanged,
        }
        told_ = ", ".join(f"{number:,} {what}" for what, number in facts.items() if number)
        self.services.log(
            "info", f"audience {audience.slug_name}: {counted.users:,} users" + (f"; {told_}" if told_ else "")
        )


def _texts(value: Any) -> list[str]:
    """The values of a field that holds one, several or none."""
    if value is None or value is objects.ABSENT or value == "":
        return []
    return [str(each) for each in value if each is not None] if isinstance(value, list) else [str(value)]


def _none_of(known: int, asked: int) -> str:
    """Who is not known by the field: the beginning of a sentence."""
    if known:
        return f"of {asked:,} accounts that the site says are in the audience, hardly any ({known:,}) is"
    if asked == 1:
        return "the one account that the site says is in the audience is not"
    return f"none of the {asked:,} accounts that the site says are in the audience is"
