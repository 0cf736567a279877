"""Three sidecars on one machine, shown in the terminal. Nothing but the standard library: it reads as an example of a client."""
