"""
What all known submissions get, before a change and after it: a redesign must leave every results.json as it was.

    python -m tests.snapshot write DIR/submissions [--every N]   # once, with the sources as they are before the change
    python -m tests.snapshot grade DIR/submissions DIR/before    # before the change
    python -m tests.snapshot grade DIR/submissions DIR/after     # after it
    python -m tests.snapshot compare DIR/before DIR/after

`write` makes a folder for each known submission, right or wrong, and for the example, the solved homework and the
template. Compared is every results.json, without its times; the exit status is 1 where one differs.
"""

from __future__ import annotations

import argparse
import difflib
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_SHOWN_LINES = 12  # of the differences of one submission


def write(folder: Path, *, every: int) -> int:
    """Write the known submissions, of the many similar ones only each `every`-th, and return how many there are."""
    from grader.trust.cases import Changes, known_cases, parts_of
    from grader.trust.wrong import wrong_changes
    from grader.verdicts import Verdict
    from homework.homework import HOMEWORK

    folder.mkdir(parents=True)
    for case in known_cases(HOMEWORK, *Verdict)[::every]:
        case.write(folder / f"{case.verdict.name.lower()}-{case.name}")
    for name, (changes, _) in list(wrong_changes(HOMEWORK).items())[::every]:
        changes.write(folder / f"wrong-{name}", parts_of(HOMEWORK, changes))
    Changes().write(folder / "solved", HOMEWORK.parts)
    shutil.copytree(ROOT / "student_templates", folder / "template")
    with zipfile.ZipFile(ROOT / "examples" / "hw4_submission.zip") as example:
        example.extractall(folder / "example")
    return len(list(folder.iterdir()))


def grade(submissions: Path, out: Path, rubric: Path | None) -> None:
    """Grade them all as a class."""
    options = [] if rubric is None else ["--rubric", str(rubric)]
    command = [sys.executable, "-m", "grader", "class", str(submissions), "--out", str(out), *options]
    subprocess.run(command, cwd=ROOT, check=True)


def results_of(out: Path) -> dict[str, dict[str, Any]]:
    """Return each submission's results.json without its times."""
    index = json.loads((out / "class.json").read_text(encoding="utf-8"))
    found = {}
    for entry in index["entries"]:
        record = json.loads((out / "records" / f"{entry['key']}.json").read_text(encoding="utf-8"))
        found[entry["id"]] = {name: value for name, value in record["results"].items() if name != "execution_time"}
    return found


def differences(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    """Yield what is different, as lines of a unified diff under the submission's name."""
    for name in sorted(before.keys() | after.keys()):
        texts = [json.dumps(each.get(name), indent=1, ensure_ascii=False).splitlines() for each in (before, after)]
        changed = [
            line for line in difflib.unified_diff(*texts, n=0, lineterm="") if line[:2] not in ("--", "++", "@@")
        ]
        if changed:
            yield "\n".join([f"{name}: {len(changed)} lines", *changed[:_SHOWN_LINES]])


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["write", "grade", "compare"])
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path, nargs="?")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--rubric", type=Path, default=None)
    arguments = parser.parse_args()
    if arguments.action == "write":
        print(f"{write(arguments.first, every=arguments.every)} submissions")
    elif arguments.action == "grade":
        grade(arguments.first, arguments.second, arguments.rubric)
    else:
        found = list(differences(results_of(arguments.first), results_of(arguments.second)))
        print("\n\n".join(found) or "no differences")
        sys.exit(bool(found))


if __name__ == "__main__":
    main()
