"""Requests to the API server; knows nothing of the election."""
