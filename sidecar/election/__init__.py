"""The election as a pure state machine: no clock, await, network, log or randomness. Its rules: docs/rules.md."""
