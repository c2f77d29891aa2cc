"""The same class on a Ray cluster of two nodes on this machine, of which one is killed half-way."""

from __future__ import annotations

import socket
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from benchmarks.demo_class import NOTEBOOK, make_export_of_kinds
from benchmarks.ray_nodes import RayNodes
from grader.errors import StaffError
from grader.fleet.nursery import Job
from grader.fleet.pool import Ended
from grader.fleet.ray_pool import RaySettings, grade_on_ray, pack, unpack
from grader.fleet.schedule import ClassSettings, grade_class
from homework.homework import HOMEWORK

ROOT = Path(__file__).parents[2]


def test_a_folder_arrives_as_it_was_sent(tmp_path: Path) -> None:
    """Names and bytes of regular files, private on arrival; links stay behind."""
    (tmp_path / "here" / "sub").mkdir(parents=True)
    (tmp_path / "here" / NOTEBOOK).write_bytes(b"\x00\xff")
    (tmp_path / "here" / "sub" / "a.py").write_text("x")
    (tmp_path / "here" / "link.py").symlink_to("/etc/passwd")
    (tmp_path / "alias").symlink_to(tmp_path / "here")

    files = pack(tmp_path / "alias")
    unpack(files, tmp_path / "there")

    assert files == {NOTEBOOK: b"\x00\xff", "sub/a.py": b"x"}
    assert (tmp_path / "there" / "sub" / "a.py").read_text() == "x"
    assert stat.S_IMODE((tmp_path / "there").stat().st_mode) == 0o700


def test_a_path_that_leads_out_is_not_written(tmp_path: Path) -> None:
    """A node writes below its folder only, by the rule that archives have; spaces are ordinary."""
    unpack({"../out.py": b"x", "/tmp/out.py": b"x", "in side/a.py ": b"y"}, tmp_path / "there")

    assert [path.name for path in tmp_path.rglob("*.py*")] == ["a.py "]


def test_an_address_where_nothing_listens_is_told_at_once() -> None:
    """Ray itself would try for minutes; the error says what to do instead."""
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        address = f"127.0.0.1:{closed_soon.getsockname()[1]}"

    with pytest.raises(StaffError, match=r"Nothing answers at 127.*leave out --ray"):
        next(grade_on_ray([], RaySettings(HOMEWORK.package, address, workers=1)))


def test_ray_comes_in_only_where_it_is_asked_for() -> None:
    """Grading a class on this machine does not import Ray."""
    program = "import sys, grader.commands.fleet, grader.fleet.ray_pool; sys.exit('ray' in sys.modules)"

    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray leaves sockets and files open when nodes go
def test_a_class_survives_the_loss_of_a_node(tmp_path: Path, small_rubric: Path) -> None:
    """One of two nodes is killed while it grades: everybody has the record they have without Ray, each once."""
    export = make_export_of_kinds(tmp_path / "export", where=str(tmp_path))
    local = grade_class(ClassSettings(HOMEWORK, export, tmp_path / "local", 2, small_rubric))
    in_flight: list[int] = []
    ended: list[str] = []

    def pool(jobs: Iterable[Job]) -> Iterator[Ended]:
        settings = RaySettings(HOMEWORK.package, nodes.address, workers=1, most_in_flight=3)
        for item in grade_on_ray(jobs, settings, on_submitted=in_flight.append):
            ended.append(item.job.key)
            if len(ended) == 2:
                nodes.kill_second()
            yield item

    with RayNodes(tmp_path / "ray") as nodes:
        far = grade_class(ClassSettings(HOMEWORK, export, tmp_path / "far", 2, small_rubric), pool)
        assert nodes.living() == 1

    def comparable(graded: object) -> list[object]:
        return [
            (item.entry.id, item.record.status, {**item.record.results, "execution_time": 0})
            for item in graded.graded  # type: ignore[attr-defined]
        ]

    assert comparable(far) == comparable(local)
    assert len(ended) == len(set(ended)) == 7
    assert max(in_flight) == 3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_node_with_other_sources_refuses(tmp_path: Path, small_rubric: Path) -> None:
    """Sources or secret differ between the machines: a submission says so instead of getting another grade."""
    folder = tmp_path / "class" / "ada"
    folder.mkdir(parents=True)
    (folder / "a.py").write_text("x = 1")

    def pool(jobs: Iterable[Job]) -> Iterator[Ended]:
        import grader.fleet.ray_pool as module

        original = module.secret_digest
        module.secret_digest = lambda path: "the secret of another machine"  # type: ignore[assignment]
        try:
            yield from grade_on_ray(jobs, RaySettings(HOMEWORK.package, nodes.address, workers=1))
        finally:
            module.secret_digest = original

    with RayNodes(tmp_path / "ray", second=False) as nodes:
        graded = grade_class(ClassSettings(HOMEWORK, tmp_path / "class", tmp_path / "out", 1, small_rubric), pool)

    assert "other sources or another secret" in graded.graded[0].record.reason
