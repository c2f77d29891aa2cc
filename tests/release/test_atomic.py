"""Files and folders appear complete or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.release import atomic
from grader.release.atomic import complete_file, complete_folder


@pytest.mark.parametrize("kernel_can_exchange", [True, False])
def test_a_folder_is_replaced_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel_can_exchange: bool
) -> None:
    """The old folder stands until the new one is complete; then nothing of the old one is left."""
    if not kernel_can_exchange:
        monkeypatch.setattr(atomic.ctypes, "CDLL", lambda *_, **__: object())
    place = tmp_path / "made" / "solutions"
    for name in ("old.txt", "new.txt"):
        with complete_folder(place) as folder:
            (folder / name).write_text(name)
            assert not (place / name).exists()

    assert [path.name for path in place.iterdir()] == ["new.txt"]
    assert [path.name for path in place.parent.iterdir()] == ["solutions"]


def fill_half(place: Path) -> None:
    """Begin a folder and fail."""
    with complete_folder(place) as folder:
        (folder / "new.txt").write_text("new")
        raise ValueError("half way")


def write_half(place: Path) -> None:
    """Begin a file and fail."""
    with complete_file(place) as path:
        path.write_text("new")
        raise ValueError("half way")


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    """Where the block raises, the old folder and the old file stay, and nothing unfinished lies about."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old.txt").write_text("old")
    (tmp_path / "file").write_text("old")

    with pytest.raises(ValueError, match="half"):
        fill_half(tmp_path / "folder")
    with pytest.raises(ValueError, match="half"):
        write_half(tmp_path / "file")

    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["old.txt"]
    assert (tmp_path / "file").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
