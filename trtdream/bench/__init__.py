"""Timing done right."""
