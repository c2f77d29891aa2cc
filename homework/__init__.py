"""EECS 182 homework 9: everything that next year's staff would change, and nothing else."""
