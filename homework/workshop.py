"""What releases of this homework and the trust in it are made with; it never goes to the platform."""

from pathlib import Path

from grader.release.workshop import Workshop
from homework.release.gate_mistakes import trials_with_mistakes
from homework.release.measured import NUMBERS
from homework.release.sources import SOURCES
from homework.release.submissions import write_example_submission, write_solved_submission
from homework.release.vectors import public_vectors
from homework.release.vectors_metalearning import metalearning_vectors
from homework.release.vision_run import prepare_vision
from homework.trust.examples import document
from homework.trust.single_precision import SINGLE_PRECISION

WORKSHOP = Workshop(
    sources=SOURCES,
    prepare={"MAE_student": prepare_vision},
    numbers=NUMBERS,
    slowest=("metalearning-part2", "metalearning-part1", "MAE_student"),
    write_solved=write_solved_submission,
    vectors={"public_vectors.pt": public_vectors, "public_vectors_metalearning.pt": metalearning_vectors},
    write_example=write_example_submission,
    example=Path(__file__).parents[1] / "examples" / "hw4_submission.zip",
    trials=trials_with_mistakes,
    examples=document,
    also_right=lambda: SINGLE_PRECISION,
    # A whole run on points of the submission's own drawing is the one question with chance in it.
    repeated=(
        "own-transformer",
        "meta-leaking-backward",
        "random_masking.mask-inverted",
        "meta_learning_classification.first-order",
    ),
)
