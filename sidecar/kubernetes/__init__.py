"""The API server: credentials, TLS, requests, watches, and a store for the Lease. Features and elections share it."""
