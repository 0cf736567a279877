"""The rules of the election: pure, with no clock, await, network, log or randomness."""
