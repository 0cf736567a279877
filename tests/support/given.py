"""The settings of flags and of an environment that holds nothing else, or their faults."""

import os
from collections.abc import Mapping
from unittest import mock

from sidecar.settings.declaration import Settings, flag
from sidecar.settings.in_force import UnusableError
from sidecar.settings.loading import configured


def load(flags: Mapping[str, str], environ: Mapping[str, str]) -> tuple[Settings | None, list[str]]:
    """The settings, or every fault that they have. `flags` maps a field's name to its text."""
    with mock.patch.dict(os.environ, environ, clear=True):
        try:
            return configured([f"{flag(field)}={text}" for field, text in flags.items()]), []
        except UnusableError as error:
            return None, str(error).splitlines()
