"""The doctor at servers with one fault each: it names that fault and the clients it hurts, and no others; and it finds
nothing at servers that have none."""
