"""
A whole class: an export of submissions in; a record for each student, grades and a report out.

The process that knows the roster (`schedule`) hands out paths. Grading is done below a *nursery* (`nursery`), a
process of its own with the libraries imported that never learns a name, a secret or an answer: every grader is
forked from it, and so are the workers that run student code.
"""
