"""Old rows go: a little at a time, by one engine at a time, and never what is still needed. See docs/retention.md."""
