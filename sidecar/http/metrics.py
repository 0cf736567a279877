"""`/metrics` in Prometheus' text format. prometheus-client is imported at the first scrape: without one it costs no memory.

Names and units follow Prometheus' conventions; `leader_election_…` are client-go's own names, so that dashboards for it fit.
"""

from collections.abc import Awaitable, Callable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from aiohttp import web

from sidecar.clock import Clock
from sidecar.election.view import State
from sidecar.http.leader import Waiting
from sidecar.http.responses import HEADERS
from sidecar.runtime.runner import Runner
from sidecar.runtime.status import Histogram

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def handler(runner: Runner, clock: Clock, waiting: Waiting) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The handler of the route, the same on both listeners."""

    class Collector:
        def collect(self) -> "Iterator[Metric]":
            """All metrics, as of this moment."""
            return _metrics(runner, clock, waiting)

    async def metrics(_: web.Request) -> web.Response:
        from prometheus_client import CollectorRegistry, generate_latest  # heavy, and not everyone scrapes

        registry = CollectorRegistry()
        registry.register(Collector())
        return web.Response(body=generate_latest(registry), headers=HEADERS | {"Content-Type": CONTENT_TYPE})

    return metrics


def _metrics(runner: Runner, clock: Clock, waiting: Waiting) -> "Iterator[Metric]":
    from prometheus_client.metrics_core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    def gauge(name: str, text: str, value: float) -> "Metric":
        return GaugeMetricFamily(name, text, value=value)

    def histogram(name: str, text: str, of: Histogram) -> "Metric":
        bounds = [*map(str, of.bounds), "+Inf"]
        return HistogramMetricFamily(name, text, buckets=list(zip(bounds, accumulate(of.counts), strict=True)), sum_value=of.sum)

    status, answer = runner.status, runner.leadership.read()
    name = answer.lease
    master = GaugeMetricFamily("leader_election_master_status", "1 while this Pod leads, by Lease; client-go's name.", labels=["name"])
    master.add_metric([name], float(answer.is_leader))
    slow = CounterMetricFamily("leader_election_slowpath_total", "Reads while leading, by Lease; client-go's name.", labels=["name"])
    slow.add_metric([name], status.slow_paths)
    yield from (master, slow)
    transitions = CounterMetricFamily("leader_sidecar_transitions_total", "Moves of this candidate into a state.", labels=["state"])
    for state in State:
        transitions.add_metric([state.value], status.moves[state])
    requests = CounterMetricFamily(
        "leader_sidecar_requests_total", "Requests to the store, by verb and outcome.", labels=["verb", "outcome"]
    )
    for (verb, outcome), count in sorted(status.requests.items()):
        requests.add_metric([verb, outcome], count)
    yield from (transitions, requests)
    yield histogram("leader_sidecar_renewal_duration_seconds", "How long renewals took that landed.", status.renewal)
    yield histogram("leader_sidecar_renewal_margin_seconds", "What was left of the deadline when a renewal landed.", status.margin)
    yield gauge("leader_sidecar_expires_in_seconds", "For how long this Pod certainly leads with no further renewal; 0 if it does not.",
                answer.expires_in if answer.is_leader else 0.0)  # fmt: skip
    yield gauge("leader_sidecar_fencing_token", "The present fencing token; 0 while none is known.", answer.fencing_token or 0)
    yield gauge("leader_sidecar_watch_open", "1 while the watch on the Lease is open, 0 while it is polled.", float(status.watch == "open"))
    yield gauge("leader_sidecar_observed_age_seconds", "Time since the store last confirmed what is known; NaN before it did.",
                answer.observed_ago if answer.observed_ago is not None else float("nan"))  # fmt: skip
    yield gauge("leader_sidecar_parked_polls", "Long-polls that wait now.", waiting.polls)
    yield gauge("leader_sidecar_streams", "Streams that are open now.", waiting.streams)
    yield gauge("leader_sidecar_loop_lag_seconds", "How late the election's loop turned last.", status.lag_seconds)
    yield gauge("leader_sidecar_loop_overdue_seconds", "How long ago the loop should have turned and has not.",
                max(0.0, (clock.boottime_ns() - status.turns_by_ns) / 1e9))  # fmt: skip
