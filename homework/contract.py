"""
Each function of the homework, once: where it stands, what it takes and returns, what it builds on. No answer is here.

Letters: B images, N patches of which K are kept, D features; n points, d features of a regression, T tasks.
"""

from __future__ import annotations

from grader.contract import INDEX, MASK, Class, Contract, Function, Output

VISION, METALEARNING, COPYPASTE = "vision", "metalearning", "metalearning-copypaste"

TRANSFORMER = Class("Transformer")
VIT = Class("ClassificationViT")
AUTOENCODER = Class("MaskedAutoEncoder", parts={"encoder": TRANSFORMER, "decoder": TRANSFORMER})
CLASSIFIER = Class("ClassificationMAE", parts={"mae": AUTOENCODER}, leading=("n_classes", "mae"))

_MAE_NOTEBOOK = "MAE_student.ipynb"
_THEORY_NOTEBOOK = "metalearning-part0.ipynb"
_REGRESSION_NOTEBOOK = "metalearning-part1.ipynb"
_CLASSIFICATION_NOTEBOOK = "metalearning-part2.ipynb"

_MASKED = (Output("mask", MASK), Output("ids_restore", INDEX))  # (B, N) each: 0 kept, 1 masked; the inverse order
_BAND = (
    Output("mean", shown="The mean error"),
    Output("high", shown="The 90th percentile"),
    Output("low", shown="The 10th percentile"),
)
_CURVE = (Output("n_train_post_range", INDEX), *_BAND)

_VISION_FUNCTIONS = (
    Function(
        "patchify",
        VISION,
        _MAE_NOTEBOOK,
        takes=("images", "patch_size"),
        sizes={"patch_size": 4},
        returns=(Output("patches"),),
        lendable=True,
    ),
    Function(
        "unpatchify",
        VISION,
        _MAE_NOTEBOOK,
        takes=("patches", "patch_size"),
        sizes={"patch_size": 4},
        returns=(Output("images"),),
    ),
    Function(
        "ClassificationViT.forward",
        VISION,
        _MAE_NOTEBOOK,
        takes=("images",),
        returns=(Output("logits"),),
        built_as=VIT,
        builds_on=("patchify",),
    ),
    Function(
        "random_masking",
        VISION,
        _MAE_NOTEBOOK,
        takes=("x", "keep_length", "ids_shuffle"),
        sizes={"keep_length": None},
        returns=(Output("kept"), *_MASKED),
        lendable=True,
    ),
    Function(
        "restore_masked",
        VISION,
        _MAE_NOTEBOOK,
        takes=("kept_x", "masked_x", "ids_restore"),
        returns=(Output("x"),),
        lendable=True,
    ),
    Function(
        "MaskedAutoEncoder.forward_encoder",
        VISION,
        _MAE_NOTEBOOK,
        takes=("images", "ids_shuffle"),
        returns=(Output("embeddings"), *_MASKED),
        built_as=AUTOENCODER,
        builds_on=("patchify", "random_masking"),
    ),
    Function(
        "MaskedAutoEncoder.forward_decoder",
        VISION,
        _MAE_NOTEBOOK,
        takes=("encoder_embeddings", "ids_restore"),
        returns=(Output("patches"),),
        built_as=AUTOENCODER,
        builds_on=("restore_masked",),
    ),
    Function(
        "MaskedAutoEncoder.forward_encoder_representation",
        VISION,
        _MAE_NOTEBOOK,
        takes=("images",),
        returns=(Output("embeddings"),),
        built_as=AUTOENCODER,
        builds_on=("patchify",),
        lendable=True,
    ),
    Function(
        "MaskedAutoEncoder.forward",
        VISION,
        _MAE_NOTEBOOK,
        takes=("images",),
        returns=(Output("reconstruction"), Output("mask", MASK)),
        built_as=AUTOENCODER,
        builds_on=("MaskedAutoEncoder.forward_encoder", "MaskedAutoEncoder.forward_decoder"),
        written=False,
    ),
    Function(
        "ClassificationMAE.forward",
        VISION,
        _MAE_NOTEBOOK,
        takes=("images",),
        returns=(Output("logits"),),
        built_as=CLASSIFIER,
        builds_on=("MaskedAutoEncoder.forward_encoder_representation",),
    ),
)

# Each part may call those before it: where one of them is wrong, it is lent to all after it.
_PARTS = ("min_norm_solution", "aliased_coefficients", "expected_test_error", "expected_test_error_gradient")
_THEORY_FUNCTIONS = (
    Function(
        "min_norm_solution",
        METALEARNING,
        _THEORY_NOTEBOOK,
        takes=("A", "y"),
        returns=(Output("beta"),),
        arrays="numpy",
        lendable=True,
    ),
    Function(
        "aliased_coefficients",
        METALEARNING,
        _THEORY_NOTEBOOK,
        takes=("c",),
        returns=(Output("beta"),),
        builds_on=_PARTS[:1],
        arrays="numpy",
        lendable=True,
    ),
    Function(
        "expected_test_error",
        METALEARNING,
        _THEORY_NOTEBOOK,
        takes=("c",),
        returns=(Output("error"),),
        builds_on=_PARTS[:2],
        arrays="numpy",
        lendable=True,
    ),
    Function(
        "expected_test_error_gradient",
        METALEARNING,
        _THEORY_NOTEBOOK,
        takes=("c",),
        returns=(Output("gradient"),),
        builds_on=_PARTS[:3],
        arrays="numpy",
        lendable=True,
    ),
    Function(
        "descend_feature_weights",
        METALEARNING,
        _THEORY_NOTEBOOK,
        takes=("c_init", "step_size", "n_iterations"),
        returns=(Output("trajectory"),),
        builds_on=_PARTS[:4],
        arrays="numpy",
    ),
)

_RUN_FUNCTIONS = (
    Function(
        "meta_learning_reg_closed_form",
        METALEARNING,
        _REGRESSION_NOTEBOOK,
        arrays="numpy",
        written=False,
        in_module=True,
        entry=True,
    ),
    Function(
        "meta_learning_reg_sgd",
        METALEARNING,
        _REGRESSION_NOTEBOOK,
        arrays="numpy",
        written=False,
        in_module=True,
        entry=True,
    ),
    Function(
        "meta_update_classification",
        METALEARNING,
        _CLASSIFICATION_NOTEBOOK,
        returns=(Output("loss", shown="The loss"),),
        lendable=True,
        in_module=True,
    ),
    Function(
        "test_classification",
        METALEARNING,
        _CLASSIFICATION_NOTEBOOK,
        returns=_CURVE,
        arrays="numpy",
        lendable=True,
        in_module=True,
    ),
    Function(
        "test_oracle_classification",
        METALEARNING,
        _CLASSIFICATION_NOTEBOOK,
        returns=_CURVE,
        builds_on=("test_classification",),
        aliases=("test_classification_oracle",),  # of the 2023 edition
        arrays="numpy",
        in_module=True,
    ),
    Function(
        "test_zero_classification",
        METALEARNING,
        _CLASSIFICATION_NOTEBOOK,
        returns=_BAND,
        aliases=("test_classification_zero",),  # of the 2023 edition
        arrays="numpy",
        in_module=True,
    ),
    Function(
        "meta_learning_classification",
        METALEARNING,
        _CLASSIFICATION_NOTEBOOK,
        builds_on=("meta_update_classification",),
        in_module=True,
        entry=True,
    ),
    # Part (g) asks for the same two names in a module of its own.
    Function("meta_update_classification", COPYPASTE, _CLASSIFICATION_NOTEBOOK, in_module=True, copy="g"),
    Function("meta_learning_classification", COPYPASTE, _CLASSIFICATION_NOTEBOOK, in_module=True, copy="g"),
)

CONTRACT = Contract((*_VISION_FUNCTIONS, *_THEORY_FUNCTIONS, *_RUN_FUNCTIONS))
