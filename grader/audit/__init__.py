"""
The audit: a submission's notebooks are executed again, and what they then show is held against what was handed in.

Student code runs in workers of the sandbox and nowhere else: `plan` reads the notebooks and prepares their cells,
`execute` runs them with a kernel, `compare` finds the differences, each in a worker. The trusted process (`run`)
passes bytes on that it does not parse, believes no field before it has checked it, and writes the report.
"""
