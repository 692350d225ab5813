"""Work that is not left half-way when the job is stopped: it gets some time to come to its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio


async def see_through(work: Callable[[], Awaitable[None]], *, grace_s: float) -> bool:
    """Do the work; when the caller's task is cancelled meanwhile it has ``grace_s`` more seconds.

    Returns:
        Whether it came to its end. A task that was cancelled meanwhile notices that at its next wait.
    """
    shield = anyio.CancelScope(shield=True)
    came_to_end = False

    async def hurry_when_cancelled() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            shield.deadline = anyio.current_time() + grace_s

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hurry_when_cancelled)
        failure: Exception | None = None
        with shield:
            try:
                await work()
                came_to_end = True
            except Exception as error:  # noqa: BLE001 - raised again below, out of the group that would wrap it
                failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return came_to_end
