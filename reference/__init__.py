"""The homework's reference solutions, readable as a textbook; they import nothing of the grader."""
