"""The sandbox itself: vendors behind one HTTP port and one SFTP port, on this machine only."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from starlette.applications import Starlette
from starlette.routing import Mount

from landbridge.emulation.listening import LOOPBACK, bound, listening
from landbridge.errors import ConnectionFailed, StorageError
from landbridge.sandbox.faults import Fault, Faults, changed_switches
from landbridge.sandbox.pages import Pages
from landbridge.sandbox.sftp import SftpAccount, SftpServer
from landbridge.sandbox.state import State
from landbridge.sandbox.vendor import Frame, SftpAddress, Vendor
from landbridge.sandbox.vendors import chosen

_OWNER_ONLY: Final = 0o700


class Sandbox:
    """Emulated vendors for demos, tests and rehearsals. Use it as an async context manager.

    Args:
        vendors: Names of vendors; none stands for all of them.
        folder: Where state, credentials and SFTP folders are kept; None keeps the state in memory and the files in a
            temporary folder.
        port: TCP port for http; 0 picks a free one.
        sftp_port: TCP port for SFTP; 0 picks a free one.
        faults: What goes wrong on purpose from the start; ``sandbox.faults`` takes more at any time.
        switches: Changes to the switches of vendors, by vendor.
    """

    def __init__(
        self,
        *vendors: str,
        folder: Path | None = None,
        port: int = 0,
        sftp_port: int = 0,
        faults: tuple[Fault, ...] = (),
        switches: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._classes = chosen(vendors)
        self._given_folder = folder
        self._given_switches = switches or {}
        self.port = port
        self.sftp_port = sftp_port
        self.faults = Faults()
        self.faults.add(*faults)
        self.vendors: dict[str, Vendor] = {}
        """The running vendors by name."""
        self._stack = AsyncExitStack()

    @property
    def url(self) -> str:
        """Where the sandbox answers, without a slash at the end."""
        return f"http://{LOOPBACK}:{self.port}"

    def __getitem__(self, name: str) -> Vendor:
        """The running vendor of this name."""
        return self.vendors[name]

    def switch(self, vendor: str, **changes: Any) -> None:
        """Change switches of a vendor, at any time.

        Raises:
            ValueError: There is no such switch, or the value is not of its type.
        """
        running = self.vendors[vendor]
        running.switches = replace(running.switches, **changed_switches(running.switches, changes))

    async def idle(self) -> None:
        """Wait until no vendor has a job under way."""
        for vendor in self.vendors.values():
            await vendor.frame.idle()

    async def start(self) -> None:
        """Open the state and listen.

        Raises:
            StorageError: LB-7303; the folder cannot be used.
            ConnectionFailed: LB-2902; a port cannot be listened on.
        """
        async with AsyncExitStack() as stack:
            if self._given_folder is None:
                temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix="landbridge-sandbox-"))
                folder = Path(temporary)
            else:
                folder = self._given_folder
            own = self._open(State(folder / "sandbox.jsonl" if self._given_folder else None), folder, stack)
            keys = own.collection("keys")
            server = SftpServer(None, port=self.sftp_port, host_key=keys["host"]["key"] if "host" in keys else None)
            keys["host"] = {"key": server.host_key}
            for each in self._classes:
                self.vendors[each.name] = await self._vendor(each, folder, server, stack)
            mounts = [Mount(f"/{name}", routes=list(vendor.routes())) for name, vendor in self.vendors.items()]
            application = Starlette(routes=[*Pages(self).routes(), *mounts])
            try:
                await server.start()
            except OSError as error:
                raise ConnectionFailed(
                    "LB-2902", f"the sandbox cannot listen on {LOOPBACK}:{self.sftp_port}", hint="Choose another port."
                ) from error
            stack.push_async_callback(server.stop)
            self.sftp_port = server.port
            self.port = await stack.enter_async_context(
                listening(application, bound(LOOPBACK, self.port, code="LB-2902", who="the sandbox"))
            )
            for name, vendor in self.vendors.items():
                vendor.frame.url = f"{self.url}/{name}"
                vendor.frame.sftp = SftpAddress(LOOPBACK, server.port, name, vendor.frame.password, server.public_key)
            self._stack = stack.pop_all()

    async def stop(self) -> None:
        """Stop listening, end background work and close the state; safe to call twice."""
        await self._stack.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _vendor(self, each: type[Vendor], folder: Path, server: SftpServer, stack: AsyncExitStack) -> Vendor:
        root = folder / "sftp" / each.name
        state = self._open(State(folder / f"{each.name}.jsonl" if self._given_folder else None), folder, stack)
        password = Frame("", folder=root, state=state, faults=self.faults, password="").secret("sftpPassword")
        frame = Frame(each.name, folder=root, state=state, faults=self.faults, password=password)
        for name in ("", *each.folders):
            (root / name).mkdir(parents=True, exist_ok=True)
        vendor = each(frame)
        given = self._given_switches.get(each.name, {})
        vendor.switches = replace(vendor.switches, **changed_switches(vendor.switches, given))
        server.add(
            SftpAccount(
                each.name,
                root,
                password=password if vendor.has_password else None,
                authorized_keys=vendor.authorized_keys(),
                on_file=vendor.file_arrived,
            )
        )
        stack.push_async_callback(frame.stop)
        return vendor

    def _open(self, state: State, folder: Path, stack: AsyncExitStack) -> State:
        try:
            folder.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
            state.open()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise StorageError(
                "LB-7303", f'the sandbox cannot keep its state in "{folder}": {reason}', hint="Choose another folder."
            ) from error
        stack.callback(state.close)
        return state
