"""What all tests share: the option that asks for those that take minutes, and what is said of those that need a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest

NO_GPU = "there is no CUDA device here"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --slow."""
    parser.addoption("--slow", action="store_true", default=False, help="run what takes minutes, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what is marked slow, unless it is asked for, and what needs a GPU where there is none."""
    # torch is not asked: that could start CUDA in a process from which workers are forked.
    has_gpu = Path("/dev/nvidiactl").exists()
    for item in items:
        if item.get_closest_marker("slow") is not None and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="takes minutes; run with --slow"))
        if item.get_closest_marker("gpu") is not None and not has_gpu:
            item.add_marker(pytest.mark.skip(reason=NO_GPU))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests were not run for want of a GPU: what they would show is not shown here."""
    skipped = terminalreporter.stats.get("skipped", [])
    not_run = [report for report in skipped if NO_GPU in str(report.longrepr)]
    if not_run:
        terminalreporter.write_line(f"NOT RUN: {len(not_run)} tests that need a GPU, because {NO_GPU}.")
