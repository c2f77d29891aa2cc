"""The documentation: it builds without a warning, names only what there is, and needs no network."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import click
import pytest
from mkdocs.exceptions import PluginError

from grader.release.answers import PARTS as WRITTEN_PARTS
from grader.verdicts import Verdict
from tests.browsing import SIZES, Visit, launched

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
TEXTS = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
# What staff make, or what grading writes.
NOT_IN_THE_REPOSITORY = {"grader/secret.key", "grader/verdicts.key", "grader/staff_questions.py"}


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    """Return what puts the generated pieces into pages."""
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site; any warning fails."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"})
    assert built.returncode == 0, built.stderr
    return folder


def test_every_page_is_built(site: Path) -> None:
    """Each source has its page, and neither the hook nor the script for pictures is among them."""
    sources = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in PAGES}

    assert sources <= {path.relative_to(site) for path in site.rglob("*.html")}
    assert not list(site.rglob("*.py"))
    assert not [path for path in site.rglob("*.html") if "<!-- generated" in path.read_text(encoding="utf-8")]


def test_each_written_part_has_its_rubric(hooks: ModuleType) -> None:
    """Parts are those of the answers; each says what full, half and no credit need, with usual mistakes that cost."""
    rubric = hooks._written()

    assert tuple(part["part"] for part in rubric["parts"]) == WRITTEN_PARTS
    losses = {max(rubric["scale"]) - points for points in rubric["scale"]}
    for part in rubric["parts"]:
        assert all(len(part[key]) > 20 for key in ("asks", "full", "half", "none")), part["part"]
        assert len(part["mistakes"]) >= 3
        assert {mistake["cost"] for mistake in part["mistakes"]} <= losses - {0}


def test_rubric_items_can_be_typed(hooks: ModuleType) -> None:
    """Each is one line with an adjustment that is not positive; the first costs nothing; nothing stands there twice."""
    for part, items in hooks.gradescope_items().items():
        points, texts = zip(*items, strict=True)
        assert points[0] == 0
        assert all(-10 <= each < 0 for each in points[1:]), part
        assert len(set(texts)) == len(texts)
        assert not any("\n" in text for text in texts)


def test_written_pages_show_every_part(hooks: ModuleType) -> None:
    """The staff's page and the self-grade form have a row or a section for each."""
    for name, mark in (("written-rubric", "## {}"), ("gradescope-items", "### Items of {}"), ("self-grade", "| {} |")):
        page = hooks.on_page_markdown(f"<!-- generated: {name} -->")
        assert all(mark.format(part) in page for part in WRITTEN_PARTS)


def test_pages_have_what_is_generated(site: Path) -> None:
    """Commands from click, questions from the rubric, fields from the schemas, verdicts with their sentences."""
    commands, questions, results, words = (
        (site / "reference" / f"{name}.html").read_text(encoding="utf-8")
        for name in ("commands", "questions", "results", "words")
    )

    assert "Usage: python -m grader preview [OPTIONS] RESULTS_JSON" in commands
    assert "./setup.sh --dev" in commands
    assert "random_masking: values" in questions
    assert "<code>stdout_visibility</code>" in results
    assert all(f"<code>{verdict.value}</code>" in words for verdict in Verdict)


def test_a_piece_that_nobody_knows_fails_the_build(hooks: ModuleType) -> None:
    """So does a field of a schema that is not described."""
    with pytest.raises(PluginError, match="No piece is called 'weather'"):
        hooks.on_page_markdown("<!-- generated: weather -->")
    with pytest.raises(PluginError, match="does not describe 'x'"):
        hooks._fields({"properties": {"x": {"type": "string"}}})
    assert hooks.on_page_markdown("as it was") == "as it was"


def test_questions_that_students_may_not_see_are_not_listed(
    hooks: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The page of questions is for students, too."""
    rubric = tmp_path / "rubric.yaml"
    entry = "check: patchify.{0}, points: 3, title: T{0}, asked: A"
    rubric.write_text(
        "assignment: HW\ntime_limit_s: 60\nparts:\n  vision:\n"
        f'    - {{number: "1", {entry.format("output")}}}\n'
        f'    - {{number: "2", {entry.format("generality")}, visibility: after_due_date}}\n'
    )
    monkeypatch.setattr(hooks, "HOMEWORK", replace(hooks.HOMEWORK, folder=tmp_path))

    page = hooks.on_page_markdown("<!-- generated: questions -->")

    assert "Toutput" in page
    assert "Tgenerality" not in page
    assert "Masked autoencoders: 3 points" in page


NAMED = [
    pytest.param(match.group(1), id=f"{path.name}: {match.group(1)}"[:80])
    for path in TEXTS
    for match in re.finditer(r"python -m grader ([^`\n|]+)", path.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("words", NAMED)
def test_a_command_that_a_page_names_is_there(hooks: ModuleType, words: str) -> None:
    """Its name and each of its options."""
    known = {name.removeprefix("python -m grader "): command for name, command, _ in hooks.commands()}
    # The longest name: a group may do something itself, too.
    name = next((each for each in sorted(known, key=len, reverse=True) if f"{words} ".startswith(f"{each} ")), None)

    if name is None:
        assert words.split()[0] in {each.split()[0] for each in known} | {"COMMAND"}, words
        assert len(words.split()) == 1, words
        return
    options = {
        option for parameter in known[name].params for option in parameter.opts if isinstance(parameter, click.Option)
    }
    assert set(re.findall(r"--[a-z-]+", words)) <= options | {"--help"}


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_a_file_that_a_page_names_is_there(path: Path) -> None:
    """Paths in code that begin with a folder of the repository."""
    spans = re.findall(r"`([^`\n]+)`", path.read_text(encoding="utf-8"))
    folders = "grader|homework|reference|tests|docs|examples|student_templates|requirements"
    named = {word for span in spans for word in span.split() if re.fullmatch(rf"({folders})/[\w./-]*", word)}

    assert [name for name in named - NOT_IN_THE_REPOSITORY if not (ROOT / name).exists()] == []


def test_pictures_are_small_and_used() -> None:
    """Each is below 300 kB, and some page shows it with words for who cannot see it."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in PAGES)
    pictures = sorted((ROOT / "docs" / "images").iterdir())

    assert len(pictures) == 6
    for picture in pictures:
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size < 300_000
        assert re.search(rf"!\[[^\]]{{20,}}\]\([./]*images/{picture.name}\)", text), picture.name


@pytest.fixture(scope="module")
def visits(site: Path) -> Iterator[dict[str, Visit]]:
    """Open pages on a phone."""
    with launched() as browser:
        opened = {name: Visit(browser, site / name, size="phone") for name in ("index.html", "staff/upload.html")}
        yield opened
        for visit in opened.values():
            visit.context.close()


def test_the_site_is_read_from_a_disk_without_a_network(visits: dict[str, Visit]) -> None:
    """No request leaves the folder, nothing is wider than a phone, no error is written."""
    for name, visit in visits.items():
        assert [url for url in visit.requests if not url.startswith(("file:", "data:"))] == [], name
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= SIZES["phone"][0]
        assert visit.problems == []


@pytest.mark.slow
def test_the_first_upload_works_as_it_is_written(tmp_path: Path) -> None:
    """Every command of the guide, in order, in a copy of the repository; then the zip grades as on the platform."""
    copy, platform = tmp_path / "clone", tmp_path / "autograder"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.rstrip("\0").split("\0"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    guide = (ROOT / "docs" / "staff" / "upload.md").read_text(encoding="utf-8")
    script = "\n".join(["set -euo pipefail", *re.findall(r"```sh\n(.*?)```", guide, re.DOTALL)])

    said = _run_bash(script, copy)
    platform.mkdir()
    for name, archive in (("source", "build/autograder.zip"), ("submission", "examples/hw4_submission.zip")):
        _unpack(copy / archive, platform / name)
    shutil.copy(platform / "source" / "run_autograder", platform)
    graded = _run_bash("./run_autograder", platform)

    assert "82 / 100" in said
    assert "82 / 100" in graded
    assert (platform / "results" / "results.json").exists()
    assert {path.name for path in (copy / "results").iterdir()} >= {"preview.student.html", "preview.staff.html"}


def _run_bash(script: str, folder: Path) -> str:
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": os.environ.get("HOME", "/root")}
    ran = subprocess.run(["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack with the modes that the zip says, as the platform does."""
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            (folder / opened.extract(entry, folder)).chmod((entry.external_attr >> 16) & 0o777 or 0o644)
