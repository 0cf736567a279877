"""One election as it runs: its loops, its answers, its history."""
