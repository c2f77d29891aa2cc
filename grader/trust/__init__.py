"""The grader graded: edited solutions whose verdicts are known, mutants, and the calibration of tolerances."""
