"""Fixtures of the integration tests."""

import json
import os

import pytest

from tests.integration.command import Command


@pytest.fixture
def own_environment(monkeypatch, tmp_path):
    """Variables that a test sets are gone after it, and its home folder is its own."""
    before = dict(os.environ)
    monkeypatch.setenv("LANDBRIDGE_HOME", str(tmp_path / "home"))
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def command(tmp_path):
    return Command(tmp_path)


@pytest.fixture
def folders(tmp_path):
    """An ``in`` and an ``out`` folder."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    return tmp_path


@pytest.fixture
def accounts(folders):
    """A thousand accounts as JSON lines in ``in/accounts.jsonl``."""
    rows = [
        {"UID": f"u{number}", "profile": {"email": f"p{number}@example.com", "firstName": "Zoë"}, "data": {"n": number}}
        for number in range(1000)
    ]
    (folders / "in" / "accounts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return rows
