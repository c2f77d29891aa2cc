"""What a course hands out and uploads, made from one source: templates, solutions, submissions, the zip."""
