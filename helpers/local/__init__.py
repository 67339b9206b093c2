"""The embedded stack: what a laptop has in place of the cluster. Only entry points import it."""
