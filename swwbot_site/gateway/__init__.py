"""The OpenAI-compatible way into the cluster, for any program."""
