"""Measurements that compare the reference with slower, more literal ways of doing the same."""
