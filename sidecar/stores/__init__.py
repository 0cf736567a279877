"""Where the Lease lives."""
