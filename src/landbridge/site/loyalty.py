"""Loyalty (gm.*): actions earn points, points reach the levels of challenges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from landbridge.gigya_wire.replies import ApiError, Payload, invalid, missing
from landbridge.site.accounts import decode, encode, merge
from landbridge.site.calls import Call, Method, method
from landbridge.site.repository import Repository
from landbridge.site.store_session import Session

DEFAULT_CHALLENGE: Final = "_default"
MAX_LOGGED: Final = 1000
_KIND: Final = "loyalty"
_ACTION: Final = "gm_action"
_CHALLENGE: Final = "gm_challenge"
_GLOBAL: Final = "gm_global"
_WEEK_MS: Final = 7 * 86_400_000
_DETAILS: Final = ("basic", "full")
_DEFAULT: Final[Mapping[str, Any]] = {
    "challengeID": DEFAULT_CHALLENGE,
    "enabled": True,
    "texts": {"title": "Points", "description": "All points"},
    "levels": [
        {"level": 1, "title": "bronze", "points": 100},
        {"level": 2, "title": "silver", "points": 500},
        {"level": 3, "title": "gold", "points": 2000},
    ],
}


async def notify_action(repository: Repository, call: Call) -> Payload:
    """gm.notifyAction: an action earns its points in every challenge it counts for."""
    uid, name = call.parameters.required("UID"), call.parameters.required("action")

    def notify(session: Session) -> Payload:
        _account(session, uid)
        text = session.document(_ACTION, name)
        if text is None:
            raise ApiError(400126, f"There is no action {name}" if name.isascii() else "There is no such action")
        action: dict[str, Any] = decode(text)
        state = _state(session, uid)
        _check_limits(action, state, call.now_ms)
        challenges = action.get("challenges") or [DEFAULT_CHALLENGE]
        _log(state, {"action": name, "points": action.get("points", 0), "challenges": challenges, "time": call.now_ms})
        for challenge in {*challenges, DEFAULT_CHALLENGE}:
            _earn(session, state, challenge, action.get("points", 0))
        session.put_document(_KIND, uid, encode(state))
        return {}

    return await repository.write(call, notify)


async def redeem_points(repository: Repository, call: Call) -> Payload:
    """gm.redeemPoints."""
    uid, points = call.parameters.required("UID"), call.parameters.integer("points")
    challenge = call.parameters.text("challenge") or DEFAULT_CHALLENGE
    if points is None:
        raise missing("points")
    if points <= 0:
        raise invalid("points", "is not more than 0")

    def redeem(session: Session) -> Payload:
        _account(session, uid)
        state = _state(session, uid)
        score = state["challenges"].get(challenge, {})
        if score.get("pointsCurrent", 0) < points:
            raise ApiError(400127, "There are not enough points")
        score["pointsCurrent"] -= points
        _log(state, {"action": "_redeem", "points": -points, "challenges": [challenge], "time": call.now_ms})
        session.put_document(_KIND, uid, encode(state))
        return {}

    return await repository.write(call, redeem)


async def get_challenge_status(repository: Repository, call: Call) -> Payload:
    """gm.getChallengeStatus: the levels and points of a person."""
    uid = call.parameters.required("UID")
    include, exclude = call.parameters.names("includeChallenges"), call.parameters.names("excludeChallenges")
    if (call.parameters.text("details") or "basic") not in _DETAILS:
        raise invalid("details", "is neither basic nor full")
    full = call.parameters.text("details") == "full"

    def status(session: Session) -> Payload:
        _account(session, uid)
        state = _state(session, uid)
        wanted = [
            challenge
            for name, challenge in sorted(_challenges(session).items())
            if (not include or "*" in include or name in include) and name not in exclude and challenge["enabled"]
        ]
        return {"achievements": [_achievement(challenge, state, call.now_ms, full=full) for challenge in wanted]}

    return await repository.store.look_up(status)


async def get_actions_log(repository: Repository, call: Call) -> Payload:
    """gm.getActionsLog; times are Unix seconds."""
    uid = call.parameters.required("UID")
    begin, end = call.parameters.integer("startTime"), call.parameters.integer("endTime")

    def log(session: Session) -> Payload:
        _account(session, uid)
        entries = _state(session, uid)["log"]
        first, last = (begin or 0) * 1000, (end * 1000 if end is not None else call.now_ms)
        return {
            "actions": [{**entry, "time": entry["time"] // 1000} for entry in entries if first <= entry["time"] <= last]
        }

    return await repository.store.read(log)


async def get_top_users(repository: Repository, call: Call) -> Payload:
    """gm.getTopUsers: who has the most points in a challenge."""
    challenge = call.parameters.text("challenge") or DEFAULT_CHALLENGE
    number = min(call.parameters.integer("totalCount") or 10, 100)

    def top(session: Session) -> Payload:
        scores = [
            (state["challenges"].get(challenge, {}).get("pointsTotal", 0), uid)
            for uid, text in session.documents(_KIND)
            for state in [decode(text)]
        ]
        best = sorted(scores, reverse=True)[:number]
        return {"users": [{"UID": uid, "pointsTotal": points, "rank": at} for at, (points, uid) in enumerate(best, 1)]}

    return await repository.store.read(top)


async def reset_level_status(repository: Repository, call: Call) -> Payload:
    """gm.resetLevelStatus: new levels are no longer new."""
    uid, names = call.parameters.required("UID"), call.parameters.names("challenges")

    def reset(session: Session) -> Payload:
        _account(session, uid)
        state = _state(session, uid)
        for name, score in state["challenges"].items():
            if not names or name in names:
                score["isNewLevel"] = False
        session.put_document(_KIND, uid, encode(state))
        return {}

    return await repository.write(call, reset)


async def set_action_config(repository: Repository, call: Call) -> Payload:
    """gm.setActionConfig: ``actions`` is an array of {actionID, points, challenges, dailyCap, frequencyCapSec}."""
    return await _set_configs(repository, call, "actions", "actionID", _ACTION)


async def get_action_config(repository: Repository, call: Call) -> Payload:
    """gm.getActionConfig."""
    del call
    found = await repository.store.read(lambda session: session.documents(_ACTION))
    return {"actions": [decode(text) for _, text in found]}


async def delete_action(repository: Repository, call: Call) -> Payload:
    """gm.deleteAction."""
    return await _delete_config(repository, call, "actionID", _ACTION)


async def set_challenge_config(repository: Repository, call: Call) -> Payload:
    """gm.setChallengeConfig: ``challenges`` is an array of {challengeID, enabled, texts, levels}."""
    return await _set_configs(repository, call, "challenges", "challengeID", _CHALLENGE)


async def get_challenge_config(repository: Repository, call: Call) -> Payload:
    """gm.getChallengeConfig."""
    disabled = call.parameters.boolean("includeDisabledChallenges") or False
    found = await repository.store.read(_challenges)
    return {"challenges": [each for _, each in sorted(found.items()) if disabled or each["enabled"]]}


async def get_challenge_variants(repository: Repository, call: Call) -> Payload:
    """gm.getChallengeVariants: the site keeps no variants."""
    del repository, call
    return {"variants": []}


async def delete_challenge(repository: Repository, call: Call) -> Payload:
    """gm.deleteChallenge."""
    return await _delete_config(repository, call, "challengeID", _CHALLENGE)


async def set_global_config(repository: Repository, call: Call) -> Payload:
    """gm.setGlobalConfig."""
    given = call.parameters.object("config")
    if given is None:
        raise missing("config")

    def keep(session: Session) -> Payload:
        text = session.document(_GLOBAL, "")
        config: dict[str, Any] = decode(text) if text else {}
        merge(config, given)
        session.put_document(_GLOBAL, "", encode(config))
        return {}

    return await repository.write(call, keep)


async def get_global_config(repository: Repository, call: Call) -> Payload:
    """gm.getGlobalConfig."""
    del call
    text = await repository.store.read(lambda session: session.document(_GLOBAL, ""))
    return {"config": decode(text) if text else {}}


async def _set_configs(repository: Repository, call: Call, name: str, key: str, kind: str) -> Payload:
    given = call.parameters.json(name)
    if given is None:
        raise missing(name)
    configs = given if isinstance(given, list) else [given]
    for config in configs:
        if not isinstance(config, dict) or not isinstance(config.get(key), str) or not config[key]:
            raise invalid(name, f"an element has no {key}")
        _check_config(name, config)

    def keep(session: Session) -> Payload:
        for config in configs:
            session.put_document(kind, config[key], encode({"enabled": True, **config}))
        return {}

    return await repository.write(call, keep)


def _check_config(name: str, config: Mapping[str, Any]) -> None:
    for number in ("points", "dailyCap", "frequencyCapSec"):
        value = config.get(number)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise invalid(name, f"{number} is not a whole number")
    levels = config.get("levels", [])
    if not isinstance(levels, list) or not all(
        isinstance(level, dict) and isinstance(level.get("points"), int) for level in levels
    ):
        raise invalid(name, "levels is not an array of objects with points")
    challenges = config.get("challenges", [])
    if not isinstance(challenges, list) or not all(isinstance(each, str) for each in challenges):
        raise invalid(name, "challenges is not an array of ids")


async def _delete_config(repository: Repository, call: Call, parameter: str, kind: str) -> Payload:
    wanted = call.parameters.required(parameter)

    def delete(session: Session) -> Payload:
        if not session.delete_document(kind, wanted):
            raise ApiError(404000, "There is nothing with this id")
        return {}

    return await repository.write(call, delete)


def _account(session: Session, uid: str) -> None:
    if session.account(uid) is None:
        raise ApiError(403005, "Unauthorized user")


def _state(session: Session, uid: str) -> dict[str, Any]:
    text = session.document(_KIND, uid)
    state: dict[str, Any] = decode(text) if text else {"challenges": {}, "log": []}
    return state


def _challenges(session: Session) -> dict[str, dict[str, Any]]:
    stored = {name: decode(text) for name, text in session.documents(_CHALLENGE)}
    return {DEFAULT_CHALLENGE: dict(_DEFAULT), **stored}


def _check_limits(action: Mapping[str, Any], state: Mapping[str, Any], now_ms: int) -> None:
    times = [entry["time"] for entry in state["log"] if entry["action"] == action["actionID"]]
    gap, daily = action.get("frequencyCapSec"), action.get("dailyCap")
    if gap and times and now_ms - times[-1] < gap * 1000:
        raise ApiError(400125, "The action came too soon after the last one")
    if daily is not None and sum(1 for time in times if time > now_ms - _WEEK_MS // 7) >= daily:
        raise ApiError(400124, "The action has reached its limit of the day")


def _log(state: dict[str, Any], entry: dict[str, Any]) -> None:
    state["log"] = [*state["log"][-MAX_LOGGED + 1 :], entry]


def _earn(session: Session, state: dict[str, Any], challenge: str, points: int) -> None:
    score = state["challenges"].setdefault(
        challenge, {"pointsTotal": 0, "pointsCurrent": 0, "level": 0, "isNewLevel": False}
    )
    # Points cannot fall below 0, though the log may hold negative ones.
    score["pointsTotal"] = max(0, score["pointsTotal"] + points)
    score["pointsCurrent"] = max(0, score["pointsCurrent"] + points)
    levels = _challenges(session).get(challenge, {}).get("levels", [])
    level = sum(1 for each in levels if score["pointsTotal"] >= each["points"])
    score["isNewLevel"] = score["isNewLevel"] or level > score["level"]
    score["level"] = level


def _achievement(challenge: Mapping[str, Any], state: Mapping[str, Any], now_ms: int, *, full: bool) -> Payload:
    name = challenge["challengeID"]
    score = state["challenges"].get(name, {})
    levels, level = challenge.get("levels", []), score.get("level", 0)
    texts = challenge.get("texts", {})
    week = sum(
        entry["points"]
        for entry in state["log"]
        if entry["time"] > now_ms - _WEEK_MS and (name in entry["challenges"] or name == DEFAULT_CHALLENGE)
    )
    total = score.get("pointsTotal", 0)
    achievement: Payload = {
        "challengeID": name,
        "challengeTitle": texts.get("title", name),
        "challengeDescription": texts.get("description", ""),
        "level": level,
        "levelTitle": levels[level - 1].get("title", "") if 0 < level <= len(levels) else "",
        "isNewLevel": score.get("isNewLevel", False),
        "pointsTotal": total,
        "points7Days": max(0, week),
        "pointsCurrent": score.get("pointsCurrent", 0),
    }
    if level < len(levels):
        achievement["achievementsToNextLevel"] = levels[level]["points"] - total
        achievement["nextLevelTitle"] = levels[level].get("title", "")
    if full:
        counts: dict[str, int] = {}
        for entry in state["log"]:
            counts[entry["action"]] = counts.get(entry["action"], 0) + 1
        achievement["actionStatus"] = [{"actionID": action, "count": count} for action, count in sorted(counts.items())]
    return achievement


METHODS: Final[tuple[Method, ...]] = (
    method("gm.notifyAction", notify_action, "UID action"),
    method("gm.redeemPoints", redeem_points, "UID challenge points"),
    method("gm.getChallengeStatus", get_challenge_status, "UID includeChallenges excludeChallenges details"),
    method("gm.getActionsLog", get_actions_log, "UID startTime endTime"),
    method("gm.getTopUsers", get_top_users, "challenge totalCount period"),
    method("gm.resetLevelStatus", reset_level_status, "UID challenges"),
    method("gm.setActionConfig", set_action_config, "actions"),
    method("gm.getActionConfig", get_action_config, "includeDisabledActions"),
    method("gm.deleteAction", delete_action, "actionID"),
    method("gm.setChallengeConfig", set_challenge_config, "challenges lang"),
    method("gm.getChallengeConfig", get_challenge_config, "lang includeDisabledChallenges"),
    method("gm.getChallengeVariants", get_challenge_variants, "challengeID"),
    method("gm.deleteChallenge", delete_challenge, "challengeID"),
    method("gm.setGlobalConfig", set_global_config, "config"),
    method("gm.getGlobalConfig", get_global_config),
)
