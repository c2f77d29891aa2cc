"""
Grade every hostile and malformed submission and print what came of it: `python -m tests.hostile`.

Each row is graded alone and inside an otherwise perfect submission, with two controls. The exit status says whether
every row got what it must: the verdicts, no point more, none lost elsewhere, no process left, a valid report.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema

from tests.hostile.cases import LOST, LOST_VERDICTS, SUBMISSIONS

ROOT = Path(__file__).parents[2]
TABLE = SUBMISSIONS / "hostile" / "RESULTS.md"
SCHEMA = ROOT / "grader" / "schemas" / "results.schema.json"
TOKEN = "a token of the platform"  # it stands for one
_OTHERS_WORK = "what another student wrote"


def main() -> int:
    """Build, grade, judge; print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", help="ids or names of rows; all of them without")
    parser.add_argument("--quick", action="store_true", help="only the rows that the ordinary suite runs")
    parser.add_argument("--whole", action="store_true", help="ask every question of the rubric")
    parser.add_argument("--json", type=Path, help="write all that was found here")
    parser.add_argument("--table", type=Path, help=f"write the table here, such as to {TABLE.relative_to(ROOT)}")
    parser.add_argument("--servers", type=int, default=2, help="how many submissions are graded at a time")
    parser.add_argument("--bed", default="this machine", help="what to call the place where this runs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        found = run(Path(folder), rows=options.rows, quick=options.quick, whole=options.whole, servers=options.servers)
    text = table(found, bed=options.bed)
    print(text)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    if options.table:
        options.table.write_text(text, encoding="utf-8")
    return 1 if any(item["problems"] for item in found) else 0


def run(
    work: Path, *, rows: Sequence[str] = (), quick: bool = False, whole: bool = False, servers: int = 1
) -> list[dict[str, Any]]:
    """Return what came of each job, with a list of problems, empty where all is as it must be."""
    work.chmod(0o755)  # to a worker, a folder is closed by the walls, not by luck
    (work / "open").mkdir()
    (work / "open").chmod(0o777)
    (work / "open" / "other_student.py").write_text(_OTHERS_WORK)
    secret = secrets.token_hex(16)
    (work / "secret.key").write_text(secret)
    (work / "secret.key").chmod(0o644)  # a slip of the staff, which the walls make good
    order = {"work": str(work), "rows": list(rows), "quick": quick, "whole": whole}
    built = subprocess.run(
        [sys.executable, "-m", "tests.hostile.build"],
        input=json.dumps(order),
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        check=True,
    )
    jobs = json.loads(built.stdout)
    (work / "jobs.json").write_text(built.stdout)
    clean = {"PATH": os.environ["PATH"], "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "LANG": "C.UTF-8"}
    clean["PYTHONDONTWRITEBYTECODE"] = "1"
    with contextlib.ExitStack() as stack:
        started = []
        for number in range(servers):
            command = [sys.executable, "-B", "-m", "tests.hostile.serve", str(work), str(number), str(servers)]
            server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=clean)
            started.append(stack.enter_context(server))
        found = []
        for number, job in enumerate(jobs):
            stream = started[number % servers].stdout
            line = stream.readline() if stream is not None else ""
            assert line, "a server ended early"
            found.append(judged(job, json.loads(line), secret))
            mark = "!!" if found[-1]["problems"] else "ok"
            print(mark, found[-1]["name"], found[-1]["seconds"], *found[-1]["problems"], file=sys.stderr, flush=True)
    return found


def judged(job: Mapping[str, Any], outcome: Mapping[str, Any], secret: str) -> dict[str, Any]:
    """Hold what came of a job against what must come of it."""
    problems = []
    results = outcome["results"]
    if results is None:
        return {**outcome, **dict.fromkeys(("verdicts", "gained", "lost"), None), "problems": ["no results.json"]}
    try:
        jsonschema.validate(results, json.loads(SCHEMA.read_text(encoding="utf-8")))
    except jsonschema.ValidationError as error:
        problems.append(f"results.json breaks its schema: {error.message}")
    got = {"{function}.{aspect}".format(**test["extra_data"]): test for test in results["tests"]}
    if got.keys() != job["expected"].keys():
        return {**outcome, **dict.fromkeys(("verdicts", "gained", "lost"), None), "problems": ["other questions"]}
    verdicts = {check: test["extra_data"]["verdict"] for check, test in got.items()}
    for check, wanted in job["expected"].items():
        is_right = verdicts[check] in LOST_VERDICTS if wanted == LOST else verdicts[check] == wanted
        if not is_right:
            problems.append(f"{check} is {verdicts[check]} in place of {wanted}: {got[check]['output'][-300:]}")
    attacked = [check for check, wanted in job["expected"].items() if wanted != "PASSED"]
    gained = sum(got[check]["score"] for check in attacked)
    lost = sum(job["points"][c] - got[c]["score"] for c, wanted in job["expected"].items() if wanted == "PASSED")
    text = json.dumps(results)
    if job["says"] and not job["alone"] and job["says"] not in json.dumps(results, ensure_ascii=False):
        problems.append(f"the report does not say {job['says']!r}: {results['output']}")
    for word in (*job["not_shown"], secret, _OTHERS_WORK, TOKEN, "WON:", "\x1b"):
        if json.dumps(word)[1:-1] in text:
            problems.append(f"the report shows {word!r}")
    if outcome["status"] != 0:
        problems.append(f"the grader ended with {outcome['status']}: {outcome['log'][-600:]}")
    if outcome["left"]:
        problems.append(f"{outcome['left']} processes outlived the run")
    if outcome["planted"] != ["other_student.py"]:
        problems.append(f"files were planted: {outcome['planted']}")
    shown = {verdicts[check] for check in attacked} or {"PASSED"}
    return {
        "name": job["name"],
        "row": job["row"],
        "alone": job["alone"],
        "verdicts": sorted(shown),
        "gained": gained,
        "lost": lost,
        "left": outcome["left"],
        "seconds": outcome["seconds"],
        "problems": problems,
    }


def table(found: Sequence[Mapping[str, Any]], *, bed: str) -> str:
    """Return a Markdown table of what came of every job, and a line that sums it up."""
    lines = [
        "# Hostile and malformed submissions, graded",
        "",
        f"Written by `python -m tests.hostile` on {bed}. Gained: points beyond what the values earn. Lost elsewhere:",
        "points of questions that the attack has nothing to do with. Left: processes alive after the run. In a row",
        "marked alone, the attack is all that was handed in.",
        "",
        "| Submission | Verdict | Gained | Lost elsewhere | Left | Seconds | |",
        "|---|---|---|---|---|---|---|",
    ]
    for item in found:
        cells = [item["name"], ", ".join(item["verdicts"] or ["none"]), item["gained"], item["lost"], item["left"]]
        lines.append(f"| {' | '.join(map(str, cells))} | {item['seconds']} | {'NO' if item['problems'] else 'ok'} |")
    rows = {item.get("row") for item in found} - {"perfect", "wrong"}
    bad = sum(bool(item["problems"]) for item in found)
    lines += ["", f"{len(rows)} rows, {len(found)} submissions, {bad} not as they must be.", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
