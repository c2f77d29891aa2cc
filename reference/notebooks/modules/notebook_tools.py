"""
What the notebooks need around your code: their folder, a training that survives a disconnect, and the zip.

You need not change anything here, and nothing here is graded.
"""

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn


# include="reference.vision.checkpoint:Checkpoint"


NOTEBOOKS = ("MAE_student.ipynb", "metalearning-part0.ipynb", "metalearning-part1.ipynb", "metalearning-part2.ipynb")
MODULES = (
    "utils.py",
    "utils_reg.py",
    "utils_visualization.py",
    "utils_classification.py",
    "utils_classification_copypaste.py",
)
RESULTS = ("autograder.pt", "mae_pretrained.pt")
ZIP = "hw4_submission.zip"
# What was asked for, and what to look at where it was not reached.
ACCURACIES = {
    "vit_acc": (
        "vision transformer",
        0.65,
        "Look at the self-check of ClassificationViT.forward, then at the loss: it should fall steadily.",
    ),
    "mae_linear_acc": (
        "linear probe",
        0.30,
        "Look at the painted images above: if they show nothing, pretrain longer.",
    ),
    "mae_finetune_acc": (
        "fine-tuned",
        0.70,
        "Look at the painted images above, and at whether detach=False lets the encoder learn.",
    ),
}


def open_folder(drive_folder, needed):
    """
    Go to the folder that holds the homework's files, and say which of them are not there.

    On Colab it is a folder of your Drive, which is made if need be; elsewhere it is where the notebook runs.

    Args:
        drive_folder: the folder inside My Drive.
        needed: names of files that lie beside the notebook.
    """
    import os
    import shutil
    import sys
    from pathlib import Path

    try:
        from google.colab import drive, files
    except ImportError:
        files = None
    else:
        drive.mount("/content/drive")
        if Path("/content/drive/MyDrive").is_dir():
            folder = Path("/content/drive/MyDrive", drive_folder)
            folder.mkdir(parents=True, exist_ok=True)
            os.chdir(folder)
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    for name in needed:  # on Kaggle files are added as inputs
        for found in Path("/kaggle/input").rglob(name) if not Path(name).exists() else ():
            shutil.copy(found, name)
    missing = [name for name in needed if not Path(name).is_file()]
    if missing and files is not None:
        print(f"Choose these files to upload: {', '.join(missing)}")
        files.upload()
        missing = [name for name in needed if not Path(name).is_file()]
    if missing:
        print(f"Not there yet: {', '.join(missing)}. Put them into {os.getcwd()}, then run this cell again.")
    else:
        print("All files that this notebook needs are there.")


def choose_device():
    """Return where to train, and say whether that is a GPU."""
    if torch.cuda.is_available():
        print(f"Training runs on a GPU: {torch.cuda.get_device_name()}.")
        return "cuda"
    print("There is no GPU: training would take about a day. On Colab choose Runtime, Change runtime type, a GPU;")
    print("then run all cells again. For a quick look on this machine, lower the numbers of epochs.")
    return "cpu"


def report_accuracy(name, accuracy, *, trained, homework):
    """
    Print an accuracy, and while there is time what to look at if it is below what was asked for.

    Args:
        name: its key in `output`.
        accuracy: measured on the test images.
        trained: number of epochs that were trained.
        homework: number of epochs that the homework trains.
    """
    what, asked, advice = ACCURACIES[name]
    print(f"{what}: test accuracy {accuracy:.3f} (asked for: {asked:.2f})")
    if trained < homework:
        print(f"Training was cut short: {trained} of {homework} epochs. What you hand in should come from all of them.")
    elif accuracy < asked:
        print(f"That is less than asked for. {advice}")


def pack_submission(folder, *, notebook):
    """
    Pack the notebooks, modules and results of a folder into hw4_submission.zip, and name what is missing.

    On Colab the notebook itself is fetched as it is on the screen; elsewhere the saved file is taken. No zip is
    written without a notebook.

    Args:
        folder: where the files lie.
        notebook: the name of the notebook that calls.
    """
    shown = notebook_on_colab()
    others = sorted(path for path in folder.glob("*.ipynb") if shown is None or not is_copy(path.name, notebook))
    if shown is None and not others:
        print(f"No zip was written: there is no notebook in this folder. Save {notebook} here, then run this cell again.")
        return
    files = [*others, *sorted(folder.glob("*.py")), *(folder / name for name in RESULTS)]
    contents = {path.name: path.read_bytes() for path in files if path.is_file()}
    if shown is not None:
        contents = {notebook: shown, **contents}
    elif notebook in contents and not was_saved_after_running(contents[notebook]):
        print(f"{notebook} was not saved since it ran. Save it, then run this cell again.")
    with zipfile.ZipFile(folder / ZIP, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    print(f"Wrote {ZIP} with", ", ".join(contents))
    name_what_is_missing(contents)
    print("Upload the zip to the coding assignment. The written assignment gets your written answers and a PDF of")
    print("the notebooks (File, Print).")
    offer_download(folder / ZIP)


def name_what_is_missing(packed):
    """Print which files of the homework are not among those packed, and what to do about it."""
    advice = {
        NOTEBOOKS: "Put what is not there under another name into this folder, and run this cell again.",
        MODULES: "Put them into this folder, and run this cell again.",
        RESULTS: "The vision notebook writes them: run its cells, in this folder.",
    }
    for names, what_to_do in advice.items():
        missing = [name for name in names if name not in packed]
        if missing:
            print(f"Missing in the zip: {', '.join(missing)}. {what_to_do}")


def notebook_on_colab():
    """Return the notebook on the screen as the bytes of its file; None where this is not Colab or it does not say."""
    try:
        from google.colab import _message

        answer = _message.blocking_request("get_ipynb", request="", timeout_sec=60)
        return json.dumps(answer["ipynb"]).encode()
    except Exception:  # no Colab, or one that answers in another way: the saved file is taken
        return None


def is_copy(name, notebook):
    """Return whether a file's name is that of a notebook, or of a copy: `Copy of MAE_student.ipynb`, `(1)`."""
    return Path(notebook).stem in Path(name).stem


def was_saved_after_running(data):
    """Return whether a saved notebook shows that any of its cells ran, or is none that could."""
    try:
        cells = json.loads(data)["cells"]
        return any(cell.get("execution_count") for cell in cells if cell["cell_type"] == "code")
    except (ValueError, KeyError, TypeError):
        return True


def offer_download(path):
    """Offer a file for download on Colab; elsewhere say that it is there."""
    try:
        from google.colab import files
    except ImportError:
        print(f"{path.name} lies beside this notebook.")
    else:
        files.download(os.fspath(path))
