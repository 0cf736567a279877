"""Optional features, all off by default. Each runs beside the election of one runner, and starts in `enabled.py`."""
