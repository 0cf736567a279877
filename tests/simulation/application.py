"""The application beside a sidecar: it asks always by the same way, goes by what it is told, and commands."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from sidecar.runtime.leadership import Answer
from sidecar.runtime.runner import Runner, WrongStateError
from tests.simulation.client import WAITING, Client
from tests.simulation.connection import Connection
from tests.simulation.life import Judge, Life, ToldLeadership
from tests.simulation.loop import Agenda

if TYPE_CHECKING:
    from tests.simulation.pod import Plan


class Application:
    """That part of a Pod; it goes on where the sidecar's process is another."""

    name: str
    plan: "Plan"
    judge: Judge
    life: Life | None
    runner: Runner | None
    leadership: ToldLeadership | None
    app_stopped: bool
    is_sick: bool
    """What the probes of it see."""
    acts_until_ns: int
    """World's time until which it acts on a deadline that it was given."""
    acts_by: Life | None
    """The process that gave it."""
    connection: Connection | None
    """To the present process."""
    _agenda: Agenda
    _client: Client | None

    def _leads(self, life: Life) -> bool:
        raise NotImplementedError

    def drained(self) -> None:
        """The application has stopped and says so."""
        token = self.leadership.read().fencing_token if self.leadership is not None else None
        if self.life is not None and self._leads(self.life) and token is not None:
            self._stop_app()
            self._command(lambda runner: runner.drained(token), "/drained", {"token": token})

    def resign(self, out_seconds: float | None, successor: str) -> None:
        """The application asks its sidecar to."""
        wanted = {"for": f"{out_seconds:g}s" if out_seconds is not None else "", "to": successor}
        fields = {name: text for name, text in wanted.items() if text}
        self._command(lambda runner: runner.resign(out_seconds, successor), "/resign", fields)

    def campaign(self) -> None:
        """Likewise."""
        self._command(Runner.campaign, "/campaign", {})

    def _command(self, command: Callable[[Runner], None], path: str, fields: Mapping[str, object]) -> None:
        """Where the state does not fit it is refused, and does nothing. Where its application waits it commands by HTTP as well."""
        life, client = self.life, self._client
        if self.runner is None or life is None or client is None:
            return
        runner = self.runner
        if self.plan.asks not in WAITING:
            self._inside(lambda: command(runner))
            return

        async def post() -> None:
            answer = await client.command(path, json.dumps(fields).encode() if fields else b"")
            if answer is not None:
                self._hear(life, answer)

        self._inside(lambda: life.create_task(post()))

    def app_ends(self) -> None:
        """Its container has ended."""
        self._stop_app()

    def _stop_app(self) -> None:
        self.app_stopped, self.acts_until_ns = True, 0

    def ask(self) -> None:
        """The application asks; a process that is stopped answers when it goes on. One that waits has asked already."""
        if self.life is not None and self.plan.asks not in WAITING:
            self._agenda.at(self._agenda.now_ns, self.life, self._answer)

    def _answer(self) -> None:
        assert self._client is not None
        assert self.life is not None
        self._hear(self.life, self._client.at_once(self.plan.asks))

    def _hear(self, life: Life, answer: Answer) -> None:
        """It goes by the deadline that it is given."""
        self.judge.answered(life.pod, answer)
        if self.connection is not None:
            self.connection.answered(answer)
        if answer.is_leader and not self.app_stopped:
            self.acts_until_ns = max(self.acts_until_ns, life.world_ns(answer.valid_until_boottime_ns))
            self.acts_by = life

    async def _probe(self) -> str:
        return "HTTP 500" if self.is_sick else ""

    def _inside(self, command: Callable[[], object]) -> None:
        life = self.life
        assert life is not None

        def perform() -> None:
            try:
                command()
            except WrongStateError:
                self.judge.say(self.name, "the command does not fit the state")

        self._agenda.at(self._agenda.now_ns, life, life.call_soon, perform)  # as a signal's handler, or a request's
