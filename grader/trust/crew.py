"""Work on many submissions at once: processes that each have a sandbox of their own."""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from grader.pipeline.homework import Homework, load_homework
from grader.trust.harness import Bench
from grader.trust.interview import Interview

Item = TypeVar("Item")
Found = TypeVar("Found")
OnStep = Callable[[str], None]
_INPUTS = b"the same inputs for all"


class Station:
    """
    What one process works with; used as a context.

    Attributes:
        homework: what is graded.
        bench: grades submissions, with the secret in `secret_file`.
        interview: asks single checks on the same inputs for all.
        secret_file: whoever wants other hidden inputs for the bench writes it anew.
    """

    def __init__(self, homework: Homework) -> None:
        self.homework = homework
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Station:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self.secret_file = folder / "secret.key"
        self.secret_file.write_bytes(_INPUTS)
        self.bench = self._stack.enter_context(Bench(self.homework, secret_file=self.secret_file))
        self.interview = Interview(self.homework, self.bench.sandbox, secret=_INPUTS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


_station: Station | None = None


def _begin(package: str) -> None:
    global _station
    _station = Station(load_homework(package))
    _station.__enter__()
    atexit.register(_station.__exit__, None, None, None)


def _do(work: Callable[[Station, Item], Found], item: Item) -> Found:
    assert _station is not None
    return work(_station, item)


class Crew:
    """
    One process or several; used as a context.

    Args:
        homework: what is graded.
        jobs: how many; 1 works in this process.
        on_step: called with a few words when something is done.
    """

    def __init__(self, homework: Homework, jobs: int, on_step: OnStep = lambda _: None) -> None:
        self.homework = homework
        self._jobs = jobs
        self._on_step = on_step
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Crew:
        if self._jobs == 1:
            self._station = self._stack.enter_context(Station(self.homework))
        else:
            # A fresh interpreter each: this one may have started threads, which a fork would lose.
            context = multiprocessing.get_context("spawn")
            package = (self.homework.package,)
            pool = ProcessPoolExecutor(self._jobs, mp_context=context, initializer=_begin, initargs=package)
            self._pool = self._stack.enter_context(pool)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def work(self, work: Callable[[Station, Item], Found], items: Iterable[Item], what: str) -> list[Found]:
        """
        Return what a function finds for every item, in their order.

        Args:
            work: a function of a module, for it goes to other processes by name.
            items: what it is called with.
            what: a few words for `on_step`.
        """
        listed = list(items)
        found = []
        for result in self._results(work, listed):
            found.append(result)
            self._on_step(f"{what}: {len(found)} of {len(listed)}")
        return found

    def _results(self, work: Callable[[Station, Item], Found], items: list[Item]) -> Iterator[Found]:
        if self._jobs == 1:
            return (work(self._station, item) for item in items)
        futures = [self._pool.submit(_do, work, item) for item in items]
        return (future.result() for future in futures)
