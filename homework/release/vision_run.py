"""What the solved vision notebook is trained on where it is executed for a release, and that it says so."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import nbformat

from grader.errors import StaffError
from grader.release.notebooks import NotebookNode, edit_notebook
from grader.release.workshop import NotebookRun
from grader.stand_in import FOLDER
from homework.release.sources import REPOSITORY

_SEED = 182
# What is changed without a GPU: an epoch over 640 images takes 6 s (autoencoder) to 12 s (classifiers) of one core.
# Measured on digits: after 30 epochs of pretraining 4 of fine-tuning reach 0.77, after 50 epochs 0.88; 4 epochs from
# scratch reach 0.10.
_SMALLER = {
    "batch_size = 128": "batch_size = 16  # 128 as handed out",
    "vit_epochs = 10": "vit_epochs = 4  # 10 as handed out",
    "mae_epochs = 20": "mae_epochs = 60  # 20 as handed out",
    "linear_epochs = 20": "linear_epochs = 8  # 20 as handed out",
    "finetune_epochs = 20": "finetune_epochs = 4  # 20 as handed out",
}
_IMAGES_WITHOUT_GPU = 640
_CELL_LIMIT_ON_GPU_S = 2 * 3600
_CELL_LIMIT_IN_FULL_S = 7 * 24 * 3600
# Where a training in full keeps every epoch: what was interrupted goes on there.
FULL_TRAINING = REPOSITORY / "build" / "full-training"


def prepare_vision(solved: NotebookNode, gpu: bool, full: bool = False) -> NotebookRun:
    """
    Return the notebook and the environment to execute it in.

    torchvision is the stand-in's. It serves CIFAR-10 where GRADER_CIFAR10 names its folder, digits elsewhere; the
    numbers of epochs are those handed out only for CIFAR-10 on a GPU.

    Args:
        solved: the solved vision notebook.
        gpu: whether there is one to train on.
        full: train on CIFAR-10 as handed out, also without a GPU, and keep every epoch.

    Raises:
        StaffError: `full` without CIFAR-10.
    """
    real = os.environ.get("GRADER_CIFAR10", "")
    environment = {"PYTHONPATH": str(FOLDER)}
    if real:
        environment["GRADER_CIFAR10"] = str(Path(real).resolve())  # the kernel runs in a folder of its own
    if full and not real:
        raise StaffError(
            happened="Training in full needs CIFAR-10, and GRADER_CIFAR10 does not name its folder.",
            try_next="Download CIFAR-10 (python version), unpack it, and set GRADER_CIFAR10 to that folder.",
        )
    if full:
        banner = _ON_CIFAR10 if gpu else _ON_CIFAR10_WITHOUT_GPU
        return NotebookRun(_with_banner(solved, banner), environment, _CELL_LIMIT_IN_FULL_S, FULL_TRAINING)
    if real and gpu:
        return NotebookRun(_with_banner(solved, _ON_CIFAR10), environment, _CELL_LIMIT_ON_GPU_S)
    environment.update(CUDA_VISIBLE_DEVICES="", GRADER_STAND_IN_IMAGES=str(_IMAGES_WITHOUT_GPU))
    banner = _ON_SOME_OF_CIFAR10 if real else _ON_DIGITS
    return NotebookRun(_with_banner(edit_notebook(solved, _SMALLER), banner), environment)


_SHORT = """\
the numbers of **epochs are others**, 4, 60, 8 and 4 instead of 10, 20, 20 and 20, and batches hold 16 images instead of
> 128. That is enough for reconstructions to show the digits, blurred, and for fine-tuning to beat the same number of
> epochs from scratch. Sharp reconstructions and the accuracies asked for (0.65, 0.30 and 0.70 on CIFAR-10) take
> CIFAR-10 and an hour of a GPU or a day of a CPU: `python -m grader release solutions --full` trains for them."""
_ON_DIGITS = f"""\
> **These are stand-in images: the accuracies below are not CIFAR-10's.** This copy was executed where neither CIFAR-10
> nor a GPU is. In the place of CIFAR-10's 50,000 training images the training cells got **{_IMAGES_WITHOUT_GPU}
> handwritten digits** (scikit-learn's, enlarged to 32 × 32 pixels; others by other writers to test with), {_SHORT}"""
_ON_SOME_OF_CIFAR10 = f"""\
> **The accuracies below are not those asked for.** This copy was executed where no GPU is, on the first
> **{_IMAGES_WITHOUT_GPU}** of CIFAR-10's 50,000 training images; {_SHORT}"""
_ON_CIFAR10_WITHOUT_GPU = "> This copy was executed on CIFAR-10, with the numbers of epochs as handed out, on a CPU."
_ON_CIFAR10 = "> This copy was executed on CIFAR-10, with the numbers of epochs as handed out, on a GPU."


def _with_banner(notebook: NotebookNode, banner: str) -> NotebookNode:
    """Return a copy that begins with the banner, and with a seed so that it repeats."""
    used = copy.deepcopy(notebook)
    seed = f"import torch\n\n_ = torch.manual_seed({_SEED})  # not handed out: it makes this copy repeatable"
    used.cells[:0] = [
        nbformat.v4.new_markdown_cell(banner, id="release-banner"),
        nbformat.v4.new_code_cell(seed, id="release-seed"),
    ]
    nbformat.validate(used)
    return used
