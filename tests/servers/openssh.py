"""OpenSSH's sshd with its own configuration, host key and one user: the one who runs the tests."""

from __future__ import annotations

import getpass
import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncssh

from tests.servers.process import ServerProcess, find_program, free_port

CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
LogLevel ERROR
Subsystem sftp internal-sftp -d {root}
"""


class OpenSshServer:
    """sshd on a loopback port; log in with ``private_key``. The session starts in ``root``."""

    host = "127.0.0.1"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.username = getpass.getuser()
        self._folder = tempfile.TemporaryDirectory(prefix="lb-sshd-")
        self.port = free_port()

    def __enter__(self) -> Self:
        program = find_program("sshd", "/usr/sbin")
        folder = Path(self._folder.name)
        host_key = asyncssh.generate_private_key("ssh-ed25519")
        client_key = asyncssh.generate_private_key("ssh-ed25519")
        host_key.write_private_key(str(folder / "host_key"))
        (folder / "host_key").chmod(0o600)
        client_key.write_public_key(str(folder / "authorized_keys"))
        (folder / "sshd_config").write_text(CONFIG.format(port=self.port, folder=folder, root=self.root))
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True, mode=0o755)  # where root's sshd separates its privileges
        self.public_key = host_key.export_public_key("openssh").decode().strip()
        self.fingerprint = str(host_key.get_fingerprint())
        self.private_key = client_key.export_private_key("openssh").decode()
        self._process = ServerProcess(
            [program, "-D", "-e", "-f", str(folder / "sshd_config")], port=self.port, log=folder / "log"
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.stop()
        self._folder.cleanup()
