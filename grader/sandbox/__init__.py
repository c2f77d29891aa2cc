"""
The sandbox: student code runs here and nowhere else.

Covered, where the process is root (Gradescope's container, a staff server); `tests/sandbox` attacks each:
- Every task runs in a fresh process under a numeric uid of its own (`uids`): it can signal, trace or read no other.
- Answers are not in the room: workers are forked from a zygote that never imported the reference, read a secret or
  opened a file of ours (`zygote`), and Landlock or, where the kernel has none, an empty root keeps files out of reach.
- No network, no io_uring, no ptrace, no shared memory, no new privileges, no system call that nobody has looked at
  (`syscalls`).
- Time, address space, processes, descriptors and file sizes are bounded by the kernel (`limits`); scratch folder,
  files without a name, buffers and the memory of all processes together by looking (`watch`, `accounting`).
- What a worker started is ended when it has answered, while the next question begins: one signal to the whole uid
  (`sweep`). If the zygote is killed, the trusted process sweeps (`control`); if that is killed, the zygote does; if
  both, the next run (`uids`).
- Only messages of the wire come back, under caps, and only after the kernel itself has said that the walls stand
  (`conversation`, `walls`). Standard output goes nowhere.
Where root lacks a wall that root must have, nothing of a submission is run, and the report says that the grader failed.

Covered without root: all of it but the uid, and so no sweep of what hides well, and a watch of the worker alone.
Student code then runs as the user who grades, so use a container for submissions that you do not trust; the first line
of a run says what is missing.

Not covered:
- bugs of the kernel and of the processor;
- what a worker reads about itself, such as its inputs and its own timing, and one bit for each submission by which a
  question is passed or not;
- what workers of one run leave for those after them without writing a file: access times of libraries, where the file
  system keeps them (a bit for each file and day; image layers of containers keep none), the next process id, free
  space;
- whether a path exists, and how large a file is: Landlock closes content and lists, not that (on the platform the
  modes of the folders do);
- one machine's load slowing another's question down, within the limits above;
- what is written in the tenth of a second between two looks at the disk, or taken in the half second between two at
  the memory, or either while the answer before is judged.

To read it: host, then conversation, control and zygote (who talks to whom), then worker and walls (what is raised),
then limits, syscalls, landlock, uids, sweep, watch, accounting (one wall each), heap (what makes it quick).
`SECURITY.md` has the whole picture.
"""
