"""Results with everything that a page can meet, and the words in it that nobody but staff may read."""

from __future__ import annotations

from typing import Any

import numpy as np

from grader.feedback.pictures import pictures_to_json
from grader.verdicts import Picture

# Each stands in exactly one place of the results that students do not see before the due date.
SECRETS = {
    "hidden": ("secret-hidden-name", "secret-hidden-output", "77.01"),
    "after_due_date": ("secret-due-name", "secret-due-output", "secret-due-tag"),
    "after_published": ("secret-published-name", "secret-published-output"),
}
# What programs and staff read, of tests that students see.
STAFF_ONLY = ("secret-diagnosis", "secret-lent", "secret-tag", "secret-function", "secret-run-fact")


def pictures() -> list[Picture]:
    """Return one picture of each kind."""
    draws = np.random.default_rng(0)
    steps = np.linspace(0, 1.2, 12)
    path = np.stack([np.sin(steps), np.cos(steps)], axis=1)
    mask = (draws.uniform(size=(2, 64)) < 0.75).astype(np.uint8)
    image = draws.integers(0, 255, (3, 16, 16, 3)).astype(np.uint8)
    return [
        Picture("mask", "A mask picture.", {"student": 1 - mask, "reference": mask}),
        Picture("trajectory", "A trajectory picture.", {"student": path * 1.2, "reference": path}),
        Picture("weights", "A weights picture.", {"student": draws.uniform(0, 3, 21), "reference": np.ones(21)}),
        Picture("reconstruction", "A reconstruction.", {"image": image, "seen": image // 2, "painted": 255 - image}),
    ]


def question(number: str, name: str, score: float, max_score: float, **fields: Any) -> dict[str, Any]:
    """Return a test as this grader writes it."""
    extra = {"question": number, "part": "vision", "function": "secret-function", "aspect": "output"}
    extra |= {"verdict": "PASSED" if score == max_score else "FAILED", **fields.pop("extra", {})}
    return {
        "number": number,
        "name": name,
        "score": score,
        "max_score": max_score,
        "status": "passed" if score == max_score else "failed",
        "output": "**Asked:** `patchify` cuts.\n\n- a\n- b",
        "output_format": "md",
        "visibility": "visible",
        "extra_data": extra,
        **fields,
    }


def visible_results() -> dict[str, Any]:
    """Return results in which students see every test; one of each state and format, all kinds of pictures."""
    long_word = "an_identifier_of_more_than_sixty_letters_that_no_phone_can_hold_in_a_line"
    tests = [
        question("1.1", "patchify: values", 3, 3),
        question(
            "2.1",
            f"{long_word}: values",
            0,
            5,
            output=f"**Not right yet.**\n\n`{long_word}` [a link](https://example.org/)\n\n"
            f"```\n{'x = 1; ' * 60}\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |",
            tags=["secret-tag"],
            extra={
                "diagnosis": ["secret-diagnosis"],
                "lent": ["secret-lent"],
                "pictures": pictures_to_json(pictures()),
            },
        ),
        question("2.2", "in part", 1, 2, output="plain <b>text</b>", output_format="text"),
        question("2.3", "terminal", 0, 1, output="\x1b[1;31mred\x1b[0m plain", output_format="ansi"),
        question(
            "7.1",
            "marked up",
            1,
            1,
            output="<p>It is <b>bold</b>.</p>",
            output_format="html",
            extra={"part": "metalearning"},
        ),
        question(
            "7.2",
            "simple",
            1,
            1,
            output="one\ntwo\n\nthree",
            output_format="simple_format",
            extra={"part": "metalearning"},
        ),
        question("7.3", "not graded", 0, 1, extra={"part": "metalearning", "verdict": "NOT_RUN"}),
        question("8.1", "only informs", 0, 0, extra={"part": "metalearning"}),
    ]
    return {
        "score": 6,
        "execution_time": 12.5,
        "output": "**4 of 7 graded questions are right.**\n\n# A heading\n\nBegin with 2.1.",
        "output_format": "md",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": tests,
        "extra_data": {"device": "secret-run-fact", "sandbox": "all walls stand"},
    }


def all_results() -> dict[str, Any]:
    """Return results with a test of each visibility besides; the words of `SECRETS` are in them."""
    visible = visible_results()
    hidden = [
        question("9.1", "secret-hidden-name", 77.01, 88, output="secret-hidden-output", visibility="hidden"),
        question(
            "9.2",
            "secret-due-name",
            1,
            1,
            output="secret-due-output",
            visibility="after_due_date",
            tags=["secret-due-tag"],
        ),
        question("9.3", "secret-published-name", 0, 1, output="secret-published-output", visibility="after_published"),
    ]
    return {**visible, "score": 84.01, "tests": [*visible["tests"], *hidden]}
