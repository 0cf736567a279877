"""The store for elections on one machine: a Lease in an SQLite file, with an API server's checks."""
