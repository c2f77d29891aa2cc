"""Numeric uids for workers: a block for each run, so that two graders on one machine never share one."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Collection
from pathlib import Path
from types import TracebackType

from grader.errors import StaffError
from grader.sandbox import sweep

# Uids above 59,999 may not exist in a container with a user namespace; those below 20,000 may belong to people.
_FIRST = 20_000
_BLOCKS = 400
_UIDS_IN_BLOCK = 100
_ROOTS_FOLDER = Path("/run")  # where only root can make a folder; /tmp is anybody's


class UidBlock:
    """
    A hundred uids that belong to this run while the block is held. Use it as a context manager.

    Workers get all but the last in turn, which is the sweeper's. The block is claimed by a lock on a file: the
    kernel gives it back however the run ends. What a run that was killed left alive under these uids is ended
    first: a worker that shared its uid with a stranger could be traced and signalled by it.
    """

    def __enter__(self) -> UidBlock:
        self._unswept: set[int] = set()
        as_root = os.geteuid() == 0 and os.access(_ROOTS_FOLDER, os.W_OK)
        folder = Path(_ROOTS_FOLDER if as_root else tempfile.gettempdir(), f"grader-uids-{os.geteuid()}")
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
            raise StaffError(
                happened=f"{folder} is not a folder of this user's.", try_next="Remove it, and grade again."
            )
        for step in range(_BLOCKS):
            block = (os.getpid() + step) % _BLOCKS
            self._lock = os.open(folder / str(block), os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self._lock)
                continue
            self._first = _FIRST + block * _UIDS_IN_BLOCK
            if os.geteuid() == 0:
                self._end_strangers()
            return self
        raise StaffError(happened=f"{_BLOCKS} graders run on this machine.", try_next="Wait for some to end.")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._lock)

    @property
    def sweeper(self) -> int:
        """The uid of the process that ends what workers leave behind."""
        return self._first + _UIDS_IN_BLOCK - 1

    def worker(self, number: int, *, taken: Collection[int] = ()) -> int:
        """
        Return the uid of the run's n-th worker.

        Args:
            number: n.
            taken: uids of workers that are not gone yet.

        Raises:
            StaffError: processes that cannot be ended have taken all of them.
        """
        for step in range(_UIDS_IN_BLOCK - 1):
            uid = self._first + (number + step) % (_UIDS_IN_BLOCK - 1)
            if uid not in self._unswept and uid not in taken:
                return uid
        raise StaffError(happened="No uid is free of processes that cannot be ended.", try_next="Restart the machine.")

    def give_up(self, uid: int) -> None:
        """Use a uid no more: something that has it cannot be ended."""
        self._unswept.add(uid)

    def _end_strangers(self) -> None:
        for uid in sweep.uids_in_use(self._first, self.sweeper - 1):
            try:
                sweep.end_processes(uid, session=0, sweeper_uid=self.sweeper, spare=())
            except (OSError, TimeoutError):
                self.give_up(uid)
