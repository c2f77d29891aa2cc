"""The pipeline: submission in, judgements and results.json out."""
