"""The trust report: how far the grader's own verdicts can be trusted, as numbers and as one page for staff."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from grader.trust.calibration import LEAST_SEPARATION
from grader.trust.mutation import Score
from grader.trust.plot import plot_calibration
from grader.trust.report_measure import Repeats, RightFound, WrongFound

LEAST_SCORE = 0.95
_PAGE = Path(__file__).with_name("report.html.j2")


@dataclass(frozen=True)
class TrustReport:
    """
    Everything that was measured.

    Args:
        quick: whether only a subset was.
        wrong: what came of wrong submissions.
        right: what came of right variants.
        repeats: what came of grading the same again.
        mutants: what came of mutants.
        table: the calibration as it is committed.
    """

    quick: bool
    wrong: Sequence[WrongFound]
    right: Sequence[RightFound]
    repeats: Repeats
    mutants: Score
    table: Mapping[str, Any]

    @property
    def separations(self) -> dict[str, float]:
        """Nearest wrong over spread, of every measured tolerance."""
        return {
            f"{key} {name}": entry["separation"]
            for key, names in self.table["checks"].items()
            for name, entry in names.items()
            if entry["kind"] == "float"
        }

    @property
    def problems(self) -> list[str]:
        """What must not be: one sentence each, the worst first; empty where the grader can be trusted."""
        found = [
            f"A mistake was missed: {each.id} lost nothing that it must lose." for each in self.wrong if not each.caught
        ]
        found += [
            f"A right variant lost points: {each.id} at {', '.join(each.wrongly_lost)}."
            for each in self.right
            if each.wrongly_lost
        ]
        found += [f"A verdict changed between repetitions: {flip}." for flip in self.repeats.flips]
        found += [_spill(each) for each in self.wrong if each.caught and not each.isolated]
        found += [
            f"A wrong mistake was named: {each.id} was called {', '.join(each.named)}."
            for each in self.wrong
            if each.diagnosis == "wrong"
        ]
        found += [
            f"{name} separates right from wrong by {value:.0f} times only."
            for name, value in self.separations.items()
            if value < LEAST_SEPARATION
        ]
        if self.mutants.share < LEAST_SCORE:
            found.append(f"Only {self.mutants.share:.1%} of the mutants were caught.")
        found += [f"A mutant survived that nobody has judged: {fate.placed.id}" for fate in self.mutants.unjudged]
        return found

    def as_json(self) -> dict[str, Any]:
        """Return every figure, and what stands behind it by name."""
        diagnoses = [each.diagnosis for each in self.wrong]
        score = self.mutants
        return {
            "quick": self.quick,
            "problems": self.problems,
            "wrong": {
                "graded": len(self.wrong),
                "caught": sum(each.caught for each in self.wrong),
                "isolated": sum(each.isolated for each in self.wrong),
                "diagnosis": {kind: diagnoses.count(kind) for kind in ("right", "absent", "wrong")},
                "missed": [each.id for each in self.wrong if not each.caught],
                "spilled": {
                    each.id: {"expected": list(each.expected), "lost": list(each.lost)}
                    for each in self.wrong
                    if not each.isolated
                },
                "not_named": [each.id for each in self.wrong if each.diagnosis == "absent"],
                "named_wrongly": {each.id: list(each.named) for each in self.wrong if each.diagnosis == "wrong"},
            },
            "right": {
                "graded": len(self.right),
                "wrongly_failed": {each.id: list(each.wrongly_lost) for each in self.right if each.wrongly_lost},
            },
            "repeats": {
                "submissions": list(self.repeats.submissions),
                "runs": self.repeats.runs,
                "verdicts": self.repeats.questions,
                "flips": list(self.repeats.flips),
            },
            "tolerances": {"measured": len(self.separations), "separations": self.separations},
            "mutants": {
                "asked": len(score.fates),
                "equivalent": len(score.equivalent),
                "caught": sum(bool(fate.caught_by) for fate in score.fates),
                "gave_no_values": sum(fate.died for fate in score.fates),
                "score": round(score.share, 4),
                "unasked": [fate.placed.id for fate in score.survivors if fate not in score.unjudged],
                "unjudged": [fate.placed.id for fate in score.unjudged],
            },
        }


def _spill(found: WrongFound) -> str:
    more, less = sorted({*found.lost} - {*found.expected}), sorted({*found.expected} - {*found.lost})
    parts = [f"lost {', '.join(more)} as well"] * bool(more) + [f"kept {', '.join(less)}"] * bool(less)
    return f"A mistake did not cost exactly its own questions: {found.id} {' and '.join(parts)}."


def write_report(report: TrustReport, folder: Path) -> list[Path]:
    """Write trust.json, the picture of the tolerances, and the page that shows both."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = folder / "trust.json"
    numbers.write_text(json.dumps(report.as_json(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    picture = plot_calibration(report.table, folder / "calibration.svg")
    page = folder / "trust.html"
    page.write_text(render(report, picture.read_text(encoding="utf-8")), encoding="utf-8")
    return [numbers, picture, page]


def render(report: TrustReport, picture: str) -> str:
    """
    Return the page.

    Args:
        report: what it shows.
        picture: SVG of the tolerances.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(_PAGE.read_text(encoding="utf-8"))
    svg = picture[picture.index("<svg") :]  # without the XML declaration, which HTML does not know
    reasons = report.mutants.judgements.unasked
    return template.render(report=report, numbers=report.as_json(), picture=Markup(svg), reasons=reasons)
