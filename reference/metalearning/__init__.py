"""Meta-learning: the theory of parts (a) to (d), MAML as published, and the experiments (e) to (h)."""
