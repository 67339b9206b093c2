"""A stand-in for the Kubernetes API, because no cluster can be had here; its face is tests/plugins/cluster.py."""
