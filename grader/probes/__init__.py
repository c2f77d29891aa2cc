"""Probes: what is asked of student code, beside it, knowing no answers."""
