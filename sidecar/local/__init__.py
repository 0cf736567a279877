"""The Lease in an SQLite file."""
