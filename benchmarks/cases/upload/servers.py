"""The servers that are uploaded to: new and empty for each run, on a loopback port."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.azurite import AzuriteServer
from tests.servers.openssh import OpenSshServer
from tests.servers.s3 import S3Server

from benchmarks.cases.upload.bare_objects import opened
from benchmarks.rounds import DATA


@contextmanager
def openssh(_: Path) -> Iterator[dict[str, str]]:
    """OpenSSH's server; the files arrive on the disk of the benchmarks."""
    with (
        tempfile.TemporaryDirectory(dir=DATA, prefix="arrived-") as arrived,
        tempfile.TemporaryDirectory(prefix="landbridge-keys-") as folder,
        OpenSshServer(Path(arrived)) as server,
    ):
        key, known = Path(folder) / "key", Path(folder) / "known_hosts"
        key.write_text(server.private_key)
        key.chmod(0o600)
        known.write_text(f"[{server.host}]:{server.port} {server.public_key}\n")
        facts = {"host": server.host, "port": str(server.port), "username": server.username}
        values = {**facts, "privateKey": server.private_key, "hostKey": server.public_key, "folder": arrived}
        yield {**facts, "key": str(key), "known": str(known), "arrived": arrived, "values": _values(folder, values)}


@contextmanager
def s3(_: Path) -> Iterator[dict[str, str]]:
    """``rclone serve s3``."""
    with tempfile.TemporaryDirectory(prefix="landbridge-keys-") as folder, S3Server() as server:
        facts = {
            "endpoint": server.url,
            "bucket": server.bucket("uploads"),
            "accessKey": server.access_key,
            "secretKey": server.secret_key,
        }
        yield {**facts, "values": _values(folder, facts)}


@contextmanager
def azurite(_: Path) -> Iterator[dict[str, str]]:
    """Azurite, with the blobs in memory."""
    with tempfile.TemporaryDirectory(prefix="landbridge-keys-") as folder, AzuriteServer() as server:
        facts = {
            "endpoint": server.url,
            "account": server.account,
            "accountKey": server.account_key,
            "container": server.container("uploads"),
        }
        yield {**facts, "values": _values(folder, facts)}


def stored_in_folder(values: dict[str, str]) -> int:
    """Bytes that have arrived at the SFTP server."""
    return sum(path.stat().st_size for path in Path(values["arrived"]).rglob("*") if path.is_file())


def stored_as_objects(values: dict[str, str]) -> int:
    """Bytes that have arrived at the object store."""
    return sum(entry["size"] for page in opened(values).list() for entry in page)


def _values(folder: str, values: dict[str, str]) -> str:
    file = Path(folder) / "values.json"
    file.write_text(json.dumps(values))
    return str(file)
