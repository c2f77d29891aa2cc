"""What is changed in a cell before it is executed, and how far a change reaches."""

from __future__ import annotations

import pytest

from grader.audit.reach import reached_cells
from grader.audit.rewrite import DATA_FOLDER, FEWER_ROUNDS, NOT_RUN, ONE_PROCESS, Rules, prepare

RULES = Rules(epochs=1, data="/data")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("vit_epochs = 10", "vit_epochs = 1"),
        ("EPOCHS: int = 20", "EPOCHS: int = 1"),
        ("num_epochs, batch_size = 20, 128", "num_epochs, batch_size = 1, 128"),
        ("config['n_epochs'] = 30", "config['n_epochs'] = 1"),
        ("config = {'epochs': 30, 'd': 501}", "config = {'epochs': 1, 'd': 501}"),
        ("train(model, max_epochs=30)", "train(model, max_epochs=1)"),
        ("def train(model, n_epoch=30): pass", "def train(model, n_epoch=1): pass"),
        ("for epoch in range(20): step()", "for epoch in range(1): step()"),
        ("for epoch in tqdm(range(0, 20), desc='ä'): step()", "for epoch in tqdm(range(0, 1), desc='ä'): step()"),
        ("num_iterations = 100  # ü", "num_iterations = 10  # ü"),
        ("x = 'äöü'; mae_epochs = 20", "x = 'äöü'; mae_epochs = 1"),
    ],
)
def test_rounds_of_training_are_fewer(before: str, after: str) -> None:
    """However a number of epochs is written down, it becomes the smaller one, and the line is named."""
    prepared = prepare(before, RULES)

    assert prepared.source == after
    assert [(change.line, change.before, change.after, change.why) for change in prepared.changes] == [
        (1, before, after, FEWER_ROUNDS)
    ]


@pytest.mark.parametrize(
    "source",
    [
        "epochs = 1",
        "start_epoch = 0",
        "epochs_done = 40",
        "epochs = n",
        "for i in range(100): pass",
        "num_gd_steps = 50",
        "keep_length = 16",
        "epochs = (",
    ],
)
def test_other_numbers_stay(source: str) -> None:
    """What is no number of rounds, is small enough, or does not compile, is executed as it stands."""
    assert prepare(source, RULES).source == source
    assert prepare(source, RULES).changes == ()


def test_as_many_rounds_as_the_notebook_says_without_a_limit() -> None:
    """With no limit nothing about training is changed."""
    assert prepare("vit_epochs = 10", Rules(epochs=None, data="")).changes == ()


def test_loaders_work_in_one_process_and_data_is_looked_for_where_it_is() -> None:
    """Workers of a DataLoader would need shared memory, which the sandbox has not."""
    source = "data_path = './data'\nDataLoader(x, num_workers=2, persistent_workers=True, prefetch_factor=4)"
    prepared = prepare(source, RULES)

    assert prepared.source == (
        "data_path = '/data'\nDataLoader(x, num_workers=0, persistent_workers=False, prefetch_factor=None)"
    )
    assert [change.why for change in prepared.changes] == [DATA_FOLDER, ONE_PROCESS]
    assert prepare("data_path = './data'", Rules(epochs=1, data="")).changes == ()


def test_shell_lines_are_left_out_and_named() -> None:
    """Shell commands and cells in another language are not run; a matplotlib line is nobody's business."""
    prepared = prepare("!pip install torchvision\n%matplotlib inline\nx = 1", RULES)
    other = prepare("%%bash\nrm -rf /", RULES)

    assert [(change.line, change.before, change.after, change.why) for change in prepared.changes] == [
        (1, "!pip install torchvision", "", NOT_RUN)
    ]
    assert prepared.source.endswith("x = 1\n")
    assert other.source == ""
    assert other.changes[0].before == "%%bash"


def test_a_cell_that_writes_a_module_still_writes_it() -> None:
    """`%%writefile` becomes Python that writes beside the notebook, wherever the path leads."""
    prepared = prepare("%%writefile /content/helper.py\ny = 1", RULES)

    assert prepared.source == "with open('helper.py', 'w') as _file:\n    _file.write('y = 1\\n')"


def test_a_change_reaches_what_is_computed_from_it_and_no_more() -> None:
    """A shortened training marks the cells that show its results; a definition or a check before it is not marked."""
    sources = (
        "import torch\nmodel = build()",
        "print(check(model))",
        "vit_epochs = 10",
        "history = train(model, vit_epochs)",
        "print(model)",
        "output['vit_acc'] = accuracy(model)",
        "print(output)",
        "print(torch.ones(2))",
    )
    cells = [prepare(source, RULES) for source in sources]

    assert reached_cells(cells, other_images=False) == [False, False, True, True, True, True, True, False]


def test_other_images_reach_what_is_trained_on_them() -> None:
    """Where torchvision serves other images, cells that use its data sets are marked."""
    sources = (
        "import torchvision\nfrom torchvision import transforms",
        "t = transforms.ToTensor()",
        "train_set = torchvision.datasets.CIFAR10('.')\nprint(len(train_set))",
    )
    cells = [prepare(source, RULES) for source in sources]

    assert reached_cells(cells, other_images=True) == [False, False, True]
    assert reached_cells(cells, other_images=False) == [False, False, False]
