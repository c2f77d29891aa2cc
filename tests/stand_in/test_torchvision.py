"""The stand-in for torchvision, imported as a notebook would: by path, in a process of its own."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from grader.stand_in import FOLDER

HEAD = f"""
import json, sys
sys.path.insert(0, {str(FOLDER)!r})
import torch, torchvision
from torchvision import transforms
"""


def run(code: str, **environment: str) -> object:
    """Run code beside the stand-in and return what it prints as JSON."""
    clean = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(
        [sys.executable, "-B", "-c", HEAD + code], capture_output=True, text=True, env=clean, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def cifar10(folder: Path) -> Path:
    """Write CIFAR-10's files, with three images in each, whose pixels are the channel's number."""
    inside = folder / "cifar-10-batches-py"
    inside.mkdir()
    pixels = np.repeat(np.arange(3, dtype=np.uint8), 1024)  # red, then green, then blue, as the files have it
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        batch = {"data": np.stack([pixels] * 3), "labels": [3, 1, 4]}
        (inside / name).write_bytes(pickle.dumps(batch))
    return folder


def test_serves_digits_as_the_notebook_asks_for_them() -> None:
    """Training and test images come out of the notebook's transforms in the homework's shape, with their labels."""
    shown = run("""
scale = transforms.Normalize((.5,) * 3, (.25,) * 3)
t = transforms.Compose([transforms.RandomHorizontalFlip(), transforms.ToTensor(), scale])
train = torchvision.datasets.CIFAR10("./data", train=True, download=True, transform=t)
test = torchvision.datasets.CIFAR10("./data", train=False, download=True, transform=t)
image, label = next(iter(torch.utils.data.DataLoader(train, batch_size=4)))
print(json.dumps([len(train), len(test), list(image.shape), str(image.dtype), label.tolist(),
                  sorted(set(train.targets)), image.min().item(), image.max().item() > 1]))
""")

    assert shown == [640, 360, [4, 3, 32, 32], "torch.float32", [0, 1, 2, 3], list(range(10)), -2.0, True]


def test_serves_cifar10_where_it_is(tmp_path: Path) -> None:
    """With GRADER_CIFAR10 the real files are read, as images with channels last, and the number can be limited."""
    code = """
train = torchvision.datasets.CIFAR10("./data")
print(json.dumps([len(train), train.data[0][0, 0].tolist(), train.targets[:3], train.classes[3]]))
"""
    folder = cifar10(tmp_path)

    assert run(code, GRADER_CIFAR10=str(folder)) == [15, [0, 1, 2], [3, 1, 4], "cat"]
    assert run(code, GRADER_CIFAR10=str(folder / "cifar-10-batches-py"), GRADER_STAND_IN_IMAGES="2") == [
        2,
        [0, 1, 2],
        [3, 1],
        "cat",
    ]


def test_serves_the_binary_version_of_cifar10(tmp_path: Path) -> None:
    """Records of a label and the three colours one after the other give the same images."""
    inside = tmp_path / "cifar-10-batches-bin"
    inside.mkdir()
    record = np.concatenate([[7], np.repeat([1, 2, 3], 1024)]).astype(np.uint8)
    for name in [f"data_batch_{number}" for number in range(1, 6)]:
        np.stack([record, record]).tofile(inside / f"{name}.bin")
    code = """
train = torchvision.datasets.CIFAR10("./data")
print(json.dumps([len(train), train.data[9][31, 31].tolist(), train.targets[9]]))
"""

    assert run(code, GRADER_CIFAR10=str(tmp_path)) == [10, [1, 2, 3], 7]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("torchvision.models", "The stand-in for torchvision has no 'models'"),
        ("torchvision.datasets.CIFAR10('.')", "there is no data_batch_1 in it"),
    ],
)
def test_says_what_it_has_not(tmp_path: Path, code: str, words: str) -> None:
    """What is left out, and a folder without CIFAR-10, are named."""
    shown = run(
        f"""
try:
    {code}
except (AttributeError, RuntimeError) as error:
    print(json.dumps(str(error)))
""",
        GRADER_CIFAR10=str(tmp_path),
    )

    assert isinstance(shown, str)
    assert words in shown


def test_random_transforms_repeat_under_a_seed() -> None:
    """Crops and mirror images are drawn from torch's generator, on arrays and on tensors alike."""
    shown = run("""
array = torchvision.datasets.CIFAR10(".").data[5]
tensor = transforms.ToTensor()(array)
t = transforms.Compose([transforms.RandomCrop(32, padding=4), transforms.Resize(32), transforms.RandomHorizontalFlip()])
def both(seed):
    torch.manual_seed(seed); first = transforms.ToTensor()(t(array))
    torch.manual_seed(seed); second = t(tensor)
    return first, second
pairs = [both(seed) for seed in range(4)]
resized = transforms.Resize((8, 8))
print(json.dumps([all(torch.equal(*pair) for pair in pairs), torch.equal(pairs[0][0], pairs[1][0]),
                  list(resized(array).shape), list(resized(tensor).shape)]))
""")

    assert shown == [True, False, [8, 8, 3], [3, 8, 8]]
