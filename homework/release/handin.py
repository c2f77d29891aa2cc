"""The zip that students hand in, written by the last cell of their notebooks, which includes this code."""

import zipfile
from pathlib import Path

EXPECTED_NOTEBOOKS = (
    "MAE_student.ipynb",
    "metalearning-part0.ipynb",
    "metalearning-part1.ipynb",
    "metalearning-part2.ipynb",
)
EXPECTED_MODULES = (
    "utils.py",
    "utils_reg.py",
    "utils_visualization.py",
    "utils_classification.py",
    "utils_classification_copypaste.py",
)
EXPECTED_RESULTS = ("autograder.pt", "mae_pretrained.pt")


def pack_submission(folder: Path) -> None:
    """Pack the notebooks, modules and results of a folder into hw4_submission.zip, and name what is missing."""
    code = [*sorted(folder.glob("*.ipynb")), *sorted(folder.glob("*.py"))]
    found = [path for path in [*code, *(folder / name for name in EXPECTED_RESULTS)] if path.is_file()]
    with zipfile.ZipFile(folder / "hw4_submission.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in found:
            archive.write(path, path.name)
    print("Wrote hw4_submission.zip with", ", ".join(path.name for path in found) or "nothing")
    advice = {
        EXPECTED_NOTEBOOKS: "Put what is not there under another name into this folder, and run this cell again.",
        EXPECTED_MODULES: "Put them into this folder, and run this cell again.",
        EXPECTED_RESULTS: "The vision notebook writes them: run its cells, in this folder.",
    }
    packed = {path.name for path in found}
    for names, what_to_do in advice.items():
        missing = [name for name in names if name not in packed]
        if missing:
            print(f"Missing in the zip: {', '.join(missing)}. {what_to_do}")
