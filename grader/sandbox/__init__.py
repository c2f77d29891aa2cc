"""
The sandbox: student code runs here and nowhere else.

Covered, where the process is root (Gradescope's container, a staff server):
- Every task runs in a fresh process under a numeric uid of its own: it can signal, trace or read no other.
- Answers are not in the room: workers are forked from a zygote that never imported the reference, read a
  secret or opened a file of ours, and Landlock (or an empty root) keeps the files of the grader out of reach.
- No network, no io_uring, no ptrace, no shared memory, no new privileges: seccomp.
- Time, address space, processes, descriptors, file sizes and the scratch folder are bounded.
- What a worker started is gone before its question is over: one signal to the whole uid.
- Only messages of the wire come back, under caps; standard output goes nowhere.

Covered without root: all of it but the uid. Student code then runs as the user who grades, so use a container
for submissions that you do not trust; the first line of a run says what is missing.

Not covered: bugs of the kernel; what a worker reads about itself, such as its inputs and its own timing;
one machine's load slowing another's question down.
"""
