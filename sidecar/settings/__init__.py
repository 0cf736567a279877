"""What a user may set, and the checks of it."""
