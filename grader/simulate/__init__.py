"""
The platform, played on this machine: its folders, its arguments, its limits, before anything is uploaded.

As on the platform: `/autograder`'s layout and modes, a submission unpacked, its metadata, `run_autograder` without
arguments, as root if this is run as root, in an environment without anything of the caller's.

Emulated, since without cgroups a kernel limits processes only one by one:
- memory: the proportional set sizes of all processes are added up twice a second; above the cap all of them are killed.
  A peak between two looks goes unseen.
- processor: all processes are bound to as few cores as the share needs, and stopped for the rest of each tenth of a
  second. Time in which the machine is busy with other things is not made up for.
- time: after the limit everything is killed, and the platform would show a score of 0 and no tests.

Not emulated: the image (this machine's own Python and libraries are used), the file system, the network.
"""
