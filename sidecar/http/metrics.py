"""`/metrics` in Prometheus' text format. prometheus-client is imported at the first scrape: without one it costs no memory.

Names and units follow Prometheus' conventions. Each metric has the label `lease`; but `leader_election_…` are client-go's own names, with
client-go's label `name`, so that dashboards for client-go fit.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator
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
            return families(runner, clock, waiting)

    async def metrics(_: web.Request) -> web.Response:
        from prometheus_client import CollectorRegistry, generate_latest  # heavy, and not everyone scrapes

        registry = CollectorRegistry()
        registry.register(Collector())
        return web.Response(body=generate_latest(registry), headers=HEADERS | {"Content-Type": CONTENT_TYPE})

    return metrics


def families(runner: Runner, clock: Clock, waiting: Waiting) -> "Iterator[Metric]":
    """Every metric with its text, which docs/reference/metrics.md shows."""
    from prometheus_client.metrics_core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    status, answer = runner.status, runner.leadership.read()
    lease = answer.lease

    def gauge(name: str, text: str, value: float) -> "Metric":
        metric = GaugeMetricFamily(name, text, labels=["lease"])
        metric.add_metric([lease], value)
        return metric

    def counter(name: str, text: str, labels: tuple[str, ...], counts: Iterable[tuple[tuple[str, ...], float]]) -> "Metric":
        metric = CounterMetricFamily(name, text, labels=["lease", *labels])
        for values, count in counts:
            metric.add_metric([lease, *values], count)
        return metric

    def histogram(name: str, text: str, of: Histogram) -> "Metric":
        metric = HistogramMetricFamily(name, text, labels=["lease"])
        bounds = [*map(str, of.bounds), "+Inf"]
        metric.add_metric([lease], buckets=list(zip(bounds, accumulate(of.counts), strict=True)), sum_value=of.sum)
        return metric

    master = GaugeMetricFamily("leader_election_master_status", "1 while this Pod leads, else 0; client-go's name.", labels=["name"])
    master.add_metric([lease], float(answer.is_leader))
    slow = CounterMetricFamily(
        "leader_election_slowpath_total", "Reads of the Lease while this Pod leads; client-go's name.", labels=["name"]
    )
    slow.add_metric([lease], status.slow_paths)
    yield from (master, slow)
    moves = [((state.value,), status.moves[state]) for state in State]
    yield counter("leader_sidecar_transitions_total", "How often this candidate has entered each state.", ("state",), moves)
    requests = sorted(status.requests.items())
    yield counter(
        "leader_sidecar_requests_total", "Requests of the election to the API server, by verb and outcome.", ("verb", "outcome"), requests
    )
    yield histogram("leader_sidecar_renewal_duration_seconds", "How long each successful renewal took.", status.renewal)
    yield histogram(
        "leader_sidecar_renewal_margin_seconds", "Time that was left until the deadline when a renewal succeeded.", status.margin
    )
    yield gauge("leader_sidecar_expires_in_seconds", "How long this Pod certainly leads without a further renewal; 0 if it does not lead.",
                answer.expires_in if answer.is_leader else 0.0)  # fmt: skip
    yield gauge("leader_sidecar_fencing_token", "Fencing token of the current leader; 0 while none is known.", answer.fencing_token or 0)
    yield gauge(
        "leader_sidecar_watch_open", "1 while the watch on the Lease is open, 0 while the sidecar polls.", float(status.watch == "open")
    )
    yield gauge("leader_sidecar_observed_age_seconds", "Time since the API server last confirmed the known Lease; NaN before it did.",
                answer.observed_ago if answer.observed_ago is not None else float("nan"))  # fmt: skip
    yield gauge("leader_sidecar_parked_polls", "Long-polls that are waiting.", waiting.polls)
    yield gauge("leader_sidecar_streams", "Event streams that are open.", waiting.streams)
    yield gauge("leader_sidecar_loop_lag_seconds", "How late the last turn of the election loop was.", status.lag_seconds)
    yield gauge("leader_sidecar_loop_overdue_seconds", "How long the next turn of the election loop is overdue.",
                max(0.0, (clock.boottime_ns() - status.turns_by_ns) / 1e9))  # fmt: skip
