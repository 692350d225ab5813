"""A site, an SSH server and an S3 server for the dataflows of this folder."""

import pytest

from tests.contract.gigya.local_site import running_site
from tests.integration.command import Command
from tests.servers.openssh import OpenSshServer
from tests.servers.pytest_support import started
from tests.servers.s3 import S3Server

PEOPLE = 300


@pytest.fixture(scope="session")
def one_site():
    with running_site(people=PEOPLE, seed=9) as site:
        yield site


@pytest.fixture(scope="session")
def ssh_root(tmp_path_factory):
    return tmp_path_factory.mktemp("ssh")


@pytest.fixture(scope="session")
def ssh(ssh_root):
    with started(OpenSshServer(ssh_root)) as server:
        yield server


@pytest.fixture(scope="session")
def s3():
    with started(S3Server()) as server:
        yield server


@pytest.fixture
def command(tmp_path):
    return Command(tmp_path)


class Place:
    """Runs dataflows against the servers; what they hold is seen from outside."""

    def __init__(self, command, site, ssh):
        self.command = command
        self.site = site
        self.ssh = ssh
        command.environ.update(site.environ, LANDBRIDGE_SECRET_SFTP_KEY=ssh.private_key)
        self.values = {
            "host": ssh.host,
            "port": str(ssh.port),
            "username": ssh.username,
            "hostKey": ssh.public_key,
        }

    def folder(self, name):
        """A folder on the SSH server, empty."""
        folder = self.ssh.root / name
        folder.mkdir(parents=True, exist_ok=True)
        for file in folder.iterdir():
            if file.is_file():
                file.unlink()
        return folder

    def run(self, flow, *arguments):
        """Run a dataflow file as it is."""
        values = [word for name, value in self.values.items() for word in ("--set", f"{name}={value}")]
        return self.command.run(flow, *values, *arguments)


@pytest.fixture
def place(command, one_site, ssh):
    return Place(command, one_site, ssh)
