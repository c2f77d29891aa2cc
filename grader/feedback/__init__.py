"""Feedback: verdicts and evidence in, words and results.json out."""
