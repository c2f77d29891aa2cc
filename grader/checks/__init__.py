"""Checks: judge the arrays that probes brought home, in the process that never ran student code."""
