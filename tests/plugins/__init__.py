"""Plugins for tests."""
