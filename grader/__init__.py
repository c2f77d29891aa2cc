"""Grade deep-learning homework: student notebooks in, points and feedback out."""
