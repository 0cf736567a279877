"""Leader election as a sidecar: contends for one Kubernetes Lease and answers on localhost who leads."""

__version__ = "0.1.0"
