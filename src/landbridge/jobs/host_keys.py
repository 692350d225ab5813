"""Host keys of SFTP servers, as people pin them: only the server with that key is trusted under its name."""

from __future__ import annotations

import anyio
import anyio.to_thread

from landbridge.jobs import db_audit
from landbridge.jobs.db import Database
from landbridge.remote import known_hosts


async def offered(host: str, port: int) -> str:
    """The fingerprint that a server offers now, to be compared with what its owner tells.

    Raises:
        ConnectionFailed: LB-2101, it cannot be reached; LB-2107, it does not speak SSH.
    """
    return await known_hosts.offered_key(host, port)


async def pin(database: Database, host: str, port: int, *, key: str, by: str) -> str:
    """Pin a host key on this machine, in place of the one that was pinned; gives its fingerprint.

    Args:
        database: For the audit trail.
        host: As dataflows and connections write it.
        port: TCP port.
        key: The fingerprint that the server's owner tells, which it must offer now; or the public key.
        by: Who pins it.

    Raises:
        FlowError: LB-1302, the key cannot be read.
        HostKeyChanged: LB-2112, the server offers another one.
        ConnectionFailed: LB-2101, it cannot be reached; LB-2107, it does not speak SSH.
        StorageError: LB-7103, the file of pins cannot be written.
    """
    pinned = await known_hosts.pin(host, port, key=key)

    def note() -> None:
        with database.write() as tx:
            label = known_hosts.host_label(host, port)
            db_audit.note(
                tx, "host_key.pin", actor=by, object_kind="host_key", object_id=label, details={"key": pinned}
            )

    with anyio.CancelScope(shield=True):  # what is pinned is noted
        await anyio.to_thread.run_sync(note)
    return pinned
