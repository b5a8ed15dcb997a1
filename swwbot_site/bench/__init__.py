"""Benchmarks: each starts what it needs on this machine, prints its figures and leaves nothing behind."""
