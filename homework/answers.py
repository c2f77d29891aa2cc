"""The trusted side of the homework in one object: imported only after the fork server was forked off."""

from grader.checks.diagnosis import KnownMistakes
from grader.pipeline.homework import Answers
from homework.checks.convergence import CONVERGENCE_CHECKS
from homework.checks.lending import HELPERS
from homework.checks.metalearning import METALEARNING_CHECKS
from homework.checks.reference import REFERENCE, UPDATE_WAYS
from homework.checks.vision import VISION_CHECKS
from homework.inspections import INSPECTED, agreement, inspections
from homework.misconceptions import CATALOGUE
from homework.misconceptions.runs import is_same_run

ANSWERS = Answers(
    REFERENCE,
    checks=(*VISION_CHECKS, *CONVERGENCE_CHECKS, *METALEARNING_CHECKS),
    mistakes=KnownMistakes(
        REFERENCE,
        CATALOGUE.entries,
        ways={"meta_update_classification": UPDATE_WAYS},
        same={"meta_learning_classification": is_same_run},
    ),
    helpers=HELPERS,
    inspected=INSPECTED,
    inspections=inspections,
    agreement=agreement,
)
