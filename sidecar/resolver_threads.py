"""The threads in which asyncio looks up names. The end of the process waits for none of them: a look-up that hangs cannot be cancelled."""

import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

_NAME: Final = "sidecar-look-up"
_MAX_THREADS: Final = 8
_GRACE_SECONDS: Final = 0.05


class ResolverThreads(ThreadPoolExecutor):
    """An executor for an event loop, `set_default_executor`."""

    def __init__(self) -> None:
        super().__init__(_MAX_THREADS, _NAME)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - its signature
        """Never wait for a thread, also where asyncio asks to."""
        super().shutdown(wait=False, cancel_futures=True)


def leave_hung(code: int) -> None:
    """Exit without the threads that still look up a name: the interpreter would wait for them. Everything else is closed by now."""
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(_NAME)]
    for thread in threads:
        thread.join(_GRACE_SECONDS)
    if any(thread.is_alive() for thread in threads):
        logging.shutdown()
        os._exit(code)
