"""The shipped Roles, taken apart: each right of them by itself."""

from typing import Any

JSON = dict[str, Any]
Right = tuple[str, str]
"""Verb and resource, in RBAC's words."""


def rights(role: JSON) -> list[Right]:
    """All that it gives."""
    return [(verb, resource) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]]


def without(role: JSON, right: Right) -> JSON:
    """The Role less that right, under a name of its own. Raises ValueError where it does not give it."""
    if right not in rights(role):
        raise ValueError(f"{right} is not in {rights(role)}")
    verb, resource = right
    rules = []
    for rule in role["rules"]:
        for one in rule["resources"]:
            verbs = [each for each in rule["verbs"] if (each, one) != right]
            if verbs:
                rules.append({**rule, "resources": [one], "verbs": verbs})
    return {**role, "metadata": {"name": f"without-{verb}-{resource.replace('/', '-')}"}, "rules": rules}
