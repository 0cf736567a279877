"""An application's connection to its sidecar, which shows at SIGTERM that it lives (S11)."""

from collections.abc import Callable

from sidecar.runtime.leadership import Answer


class Connection:
    """To one process. `keeps`: an application that goes by each deadline keeps it, from the first true answer until it has ended."""

    def __init__(self, *, keeps: bool, has_ended: Callable[[], bool]) -> None:
        self.asks = 0
        self.keeps, self._has_ended = keeps, has_ended
        self._open = False

    def answered(self, answer: Answer) -> None:
        """The application has read this."""
        self.asks += 1
        self._open = self._open or (answer.is_leader and self.keeps)

    def lives(self) -> bool:
        """Whether it is open."""
        return self._open and not self._has_ended()
