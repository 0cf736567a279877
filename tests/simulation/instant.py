"""A store that answers without awaiting anything, as the local one does: a request's outcome is there before its sender goes on."""

from collections.abc import Callable

from sidecar.election.record import JSON
from sidecar.election.store import Done, Outcome, Unknown
from tests.simulation.network import LinkStore


class InstantStore(LinkStore):
    """A lost request hangs, as on a disk that does; a lost reply is an error at once. The watch comes by the link, like the rest."""

    async def _request(self, body: JSON | None, kind: str, perform: Callable[[], Outcome]) -> Outcome:
        link, weather = self._link, self._link.weather
        if weather.cut or weather.fails or link.happens(weather.lose_request):
            return await super()._request(body, kind, perform)
        link.observer.sending(self._process, body, kind)
        link.count("requests carried out at once")
        outcome = self._refused(perform, writing=body is not None) if link.happens(weather.refuse) else perform()
        if link.happens(weather.lose_reply):
            outcome = Unknown("the disk fails")
        if isinstance(outcome, Done):
            link.observer.delivered(self._process, outcome.record, watched=False)
        return outcome
