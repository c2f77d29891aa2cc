# %% [markdown]
# # Masked autoencoders
#
# Hide three quarters of an image and ask a network to paint in what is missing. To do that well it has to learn
# what images look like, and nobody has to label anything. In this notebook you build such a network, a *masked
# autoencoder* (He et al. 2022, *Masked Autoencoders Are Scalable Vision Learners*), out of a *vision transformer*
# (Dosovitskiy et al. 2021, *An Image is Worth 16x16 Words*). You train both on CIFAR-10, then measure what the
# pretraining was good for.
#
# **How to work through it**
#
# - Part 1 asks for nine pieces of code. Each has a docstring that says exactly what goes in and what comes out.
#   Write your code where it says `raise NotImplementedError(...)`, and keep all names and arguments.
# - After each piece comes a self-check on small public inputs. It needs `self_check.py` and
#   `public_vectors.pt` beside this notebook and no GPU. It says in words what differs.
# - Part 2 trains. It needs a GPU and less than an hour. Use one on Colab (Runtime → Change runtime type), or your own.
#   Every epoch is kept: after a disconnect run all cells again, and training goes on where it was.
# - The last cells write `hw4_submission.zip`, which you hand in.
#
# Your code is graded on other inputs than the public ones, also with other patch sizes and image sizes: use
# `self.patch_size` and the shapes of what you are given instead of fixed numbers.

# %% [markdown]
# ## Where the files are
#
# The next two cells go to the folder of the homework, on Colab in your Drive, and say which files are missing there.

# %% include="reference.notebooks.modules.notebook_tools:open_folder"

# %%
# On Colab your work lies in this folder of your Drive: put all files of the homework there.
open_folder("cs182/hw9", needed=["self_check.py", "notebook_tools.py", "public_vectors.pt"])

# %%
import math
from typing import Any

import numpy as np
import torch
from torch import nn

# %% [markdown]
# ## The self-check
#
# `self_check` runs your code on the public inputs and compares what it returns with the right answer, in the grader's
# words. It also keeps your results in `output`, which the last cell saves. Its code lies in `self_check.py`; you need not
# look at it.

# %%
from self_check import missing_results, output, public_state, self_check

# %% [markdown]
# # Part 1: the code
#
# ## Images as sequences
#
# A transformer reads a sequence of vectors. `patchify` cuts an image into squares, row by row from the top left,
# and flattens each square into a vector; `unpatchify` undoes it. One `reshape` splits axes, one `permute` brings
# them in order, a second `reshape` merges them; no loop is needed.

# %% include="reference.vision.patches:patchify" write="patchify"

# %%
self_check("patchify", lambda inputs, settings: patchify(inputs["images"], settings["patch_size"]))

# %% include="reference.vision.patches:unpatchify" write="unpatchify"

# %%
self_check("unpatchify", lambda inputs, settings: unpatchify(inputs["patches"], settings["patch_size"]))

# %% [markdown]
# ## A vision transformer
#
# The transformer is given. It is a stack of PyTorch's encoder blocks, *batch first*: it maps (B, L, D) to (B, L, D).

# %% include="reference.vision.vit:Transformer"

# %% [markdown]
# The constructor of the classifier is given, `forward` is yours:
#
# 1. cut the images into patches and project them with `self.patch_projection`;
# 2. put `self.cls_token` in front of the sequence of every image;
# 3. add `self.position_encoding`, which has one more position than there are patches;
# 4. apply `self.transformer`;
# 5. apply `self.output_head` to the class token, and to nothing else.

# %% include="reference.vision.vit:ClassificationViT" write="ClassificationViT.forward"


# %%
def run_vit(inputs, settings):
    """Apply the student's ViT with the public parameters."""
    vit = ClassificationViT(**settings)
    vit.load_state_dict(public_state("ClassificationViT.forward"))
    return vit(inputs["images"])


self_check("ClassificationViT.forward", run_vit)

# %% [markdown]
# ## Masking
#
# `index_sequence` is given: it picks elements of each sequence of a batch by their indices. Its most frequent use is
# to shuffle sequences, and then to bring them back in order with the inverse permutation.

# %% include="reference.vision.masking:index_sequence"

# %% [markdown]
# `random_masking` gets a permutation for each image. The patches that come first under it are kept, the others are
# masked. Mind the two orders: `kept` is in shuffled order, `mask` in the original order of the patches.

# %% include="reference.vision.masking:random_masking" write="random_masking"


# %%
def run_random_masking(inputs, settings):
    """Apply the student's masking to the public sequence."""
    return random_masking(inputs["x"], settings["keep_length"], inputs["ids_shuffle"])


self_check("random_masking", run_random_masking)

# %% [markdown]
# `restore_masked` goes the other way: kept patches and stand-ins for the masked ones, both in shuffled order, become
# one sequence in the original order.

# %% include="reference.vision.masking:restore_masked" write="restore_masked"


# %%
def run_restore_masked(inputs, settings):
    """Apply the student's restoring to the public sequences."""
    return restore_masked(inputs["kept_x"], inputs["masked_x"], inputs["ids_restore"])


self_check("restore_masked", run_restore_masked)

# %% [markdown]
# ## The masked autoencoder
#
# The constructor and `forward` are given. Three methods are yours.
#
# - `forward_encoder`: patchify, project, add positions, *then* mask, put the class token first, encode. The class token
#   has no position here. Without `ids_shuffle`, draw a random permutation for each image, on the device of the images.
# - `forward_decoder`: project to the decoder's width, set the class token aside, restore the full sequence with
#   `self.masked_tokens` in the gaps, add positions, put the class token first again, decode, drop the class token,
#   project to pixels.
# - `forward_encoder_representation`: the encoder with nothing masked, for use after the pretraining.

# %% include="reference.vision.autoencoder:MaskedAutoEncoder" write="MaskedAutoEncoder.forward_encoder, MaskedAutoEncoder.forward_decoder, MaskedAutoEncoder.forward_encoder_representation"

# %% include="homework.release.vectors:build_autoencoder"


# %%
def public_autoencoder(key, settings):
    """Build the student's autoencoder with the public parameters of a check."""
    mae = build_autoencoder(settings)
    mae.load_state_dict(public_state(key))
    return mae


def run_encoder(inputs, settings):
    """Encode the public images."""
    mae = public_autoencoder("MaskedAutoEncoder.forward_encoder", settings)
    return mae.forward_encoder(inputs["images"], inputs["ids_shuffle"])


def run_decoder(inputs, settings):
    """Decode the public embeddings."""
    mae = public_autoencoder("MaskedAutoEncoder.forward_decoder", settings)
    return mae.forward_decoder(inputs["encoder_embeddings"], inputs["ids_restore"])


def run_representation(inputs, settings):
    """Represent the public images."""
    mae = public_autoencoder("MaskedAutoEncoder.forward_encoder_representation", settings)
    return mae.forward_encoder_representation(inputs["images"])


self_check("MaskedAutoEncoder.forward_encoder", run_encoder)
self_check("MaskedAutoEncoder.forward_decoder", run_decoder)
self_check("MaskedAutoEncoder.forward_encoder_representation", run_representation)

# %% [markdown]
# ## A classifier on the autoencoder
#
# Feed the class token of the unmasked representation to `self.output_head`. With `self.detach` only the head may
# learn (a *linear probe*): no gradient may reach `self.mae`. Without it everything learns (*fine-tuning*).

# %% include="reference.vision.classifier:ClassificationMAE" write="ClassificationMAE.forward"


# %%
def run_classifier(inputs, settings):
    """Classify the public images with the student's autoencoder and head."""
    settings = dict(settings)
    classifier = ClassificationMAE(mae=build_autoencoder(settings.pop("mae")), **settings)
    classifier.load_state_dict(public_state("ClassificationMAE.forward"))
    return classifier(inputs["images"])


self_check("ClassificationMAE.forward", run_classifier)

# %% [markdown]
# # Part 2: training
#
# Nothing is left to write. The cells below download CIFAR-10, train, and keep the accuracies in `output`. Set the
# numbers of epochs lower for a first try; what you hand in should come from the numbers as given. Aim for accuracies of
# at least 0.65 (vision transformer), 0.30 (linear probe) and 0.70 (fine-tuned autoencoder).

# %% tags=["training"]
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import matplotlib.pyplot as plt
import torchvision
from torch.utils.data import DataLoader
from notebook_tools import Checkpoint, choose_device, report_accuracy
from torchvision import transforms

torch_device = choose_device()
data_path = "./data"
model_path = "mae_pretrained.pt"
batch_size = 128
vit_epochs = 10
mae_epochs = 20
linear_epochs = 20
finetune_epochs = 20

# %% tags=["training"]
channel_mean, channel_std = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
test_transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(channel_mean, channel_std)])
train_transform = transforms.Compose([transforms.RandomHorizontalFlip(), test_transform])
train_set = torchvision.datasets.CIFAR10(data_path, train=True, download=True, transform=train_transform)
test_set = torchvision.datasets.CIFAR10(data_path, train=False, download=True, transform=test_transform)
train_batches = DataLoader(train_set, batch_size=batch_size, shuffle=True, num_workers=2)
test_batches = DataLoader(test_set, batch_size=batch_size, num_workers=2)

# %% [markdown]
# The training loops are given. The loss of the autoencoder counts masked patches only: what the encoder has seen is no
# achievement to repeat.

# %% tags=["training"] include="reference.vision.training:Batches,TrainingSettings,VIT_SETTINGS,PRETRAINING_SETTINGS,make_optimizer,print_epoch,run_epochs,train_classifier,accuracy"

# %% tags=["training"] include="reference.vision.training:reconstruction_loss,random_permutations,pretrain"

# %% [markdown]
# ## The vision transformer, from scratch

# %% tags=["training"]
vit = ClassificationViT(n_classes=10)
vit_settings = TrainingSettings(learning_rate=1e-3, weight_decay=1e-9, epochs=vit_epochs)
vit_kept = Checkpoint("vit.checkpoint")
train_classifier(
    vit, train_batches, settings=vit_settings, device=torch_device, on_epoch=print_epoch, checkpoint=vit_kept
)
output["vit_acc"] = accuracy(vit, test_batches, device=torch_device)
report_accuracy("vit_acc", output["vit_acc"], trained=vit_epochs, homework=10)

# %% [markdown]
# ## Pretraining the masked autoencoder
#
# The pretrained parameters are saved in `mae_pretrained.pt`, which is part of your submission. The two classifiers
# below start from that file, so you can come back to them without pretraining again.

# %% tags=["training"]
mae = MaskedAutoEncoder(Transformer(256, n_layers=4), Transformer(128, n_layers=2))
mae_settings = TrainingSettings(learning_rate=1e-4, weight_decay=0.05, epochs=mae_epochs)
mae_kept = Checkpoint("mae.checkpoint")
pretrain(mae, train_batches, settings=mae_settings, device=torch_device, on_epoch=print_epoch, checkpoint=mae_kept)
torch.save(mae.state_dict(), model_path)

# %% [markdown]
# What does it paint? Each row shows a test image, what the encoder saw of it, and the reconstruction.

# %% tags=["training"]
mae.eval()
with torch.no_grad():
    images = next(iter(test_batches))[0][:6].to(torch_device)
    predicted, mask = mae(images)
hidden = mask.bool().unsqueeze(-1)
patches = patchify(images, mae.patch_size)
seen = unpatchify(patches.masked_fill(hidden, 0.0), mae.patch_size)
painted = unpatchify(torch.where(hidden, predicted, patches), mae.patch_size)

figure, axes = plt.subplots(len(images), 3, figsize=(5, 1.7 * len(images)), squeeze=False)
std, mean = torch.tensor(channel_std), torch.tensor(channel_mean)
for row, pictures in zip(axes, zip(images, seen, painted)):
    for axis, picture, title in zip(row, pictures, ("image", "seen", "painted")):
        axis.imshow((picture.cpu().permute(1, 2, 0) * std + mean).clamp(0, 1).numpy())
        axis.set_title(title, fontsize=8)
        axis.axis("off")
plt.show()

# %% [markdown]
# ## Linear probe
#
# How good is the representation as it is? Only a linear layer on top of it is trained.


# %% tags=["training"]
def pretrained_autoencoder():
    """Build the autoencoder of the homework and load the pretrained parameters."""
    mae = MaskedAutoEncoder(Transformer(256, n_layers=4), Transformer(128, n_layers=2))
    mae.load_state_dict(torch.load(model_path, weights_only=True, map_location="cpu"))
    return mae


linear = ClassificationMAE(n_classes=10, mae=pretrained_autoencoder(), detach=True)
linear_settings = TrainingSettings(learning_rate=1e-4, weight_decay=1e-9, epochs=linear_epochs)
linear_kept = Checkpoint("linear.checkpoint")
train_classifier(
    linear, train_batches, settings=linear_settings, device=torch_device, on_epoch=print_epoch, checkpoint=linear_kept
)
output["mae_linear_acc"] = accuracy(linear, test_batches, device=torch_device)
report_accuracy("mae_linear_acc", output["mae_linear_acc"], trained=linear_epochs, homework=20)

# %% [markdown]
# ## Fine-tuning
#
# Now the encoder may move, too. Compare the result with that of the vision transformer trained from scratch.

# %% tags=["training"]
tuned = ClassificationMAE(n_classes=10, mae=pretrained_autoencoder(), detach=False)
finetune_settings = TrainingSettings(learning_rate=1e-4, weight_decay=1e-9, epochs=finetune_epochs)
tuned_kept = Checkpoint("finetune.checkpoint")
train_classifier(
    tuned, train_batches, settings=finetune_settings, device=torch_device, on_epoch=print_epoch, checkpoint=tuned_kept
)
output["mae_finetune_acc"] = accuracy(tuned, test_batches, device=torch_device)
report_accuracy("mae_finetune_acc", output["mae_finetune_acc"], trained=finetune_epochs, homework=20)

# %% [markdown]
# # Hand in
#
# Save the notebook first, then run the next cell. It writes `autograder.pt` with your results and packs it into
# `hw4_submission.zip` together with the notebooks and modules of this folder and the pretrained model. On Colab it fetches
# this notebook as you see it. The meta-learning notebooks and modules belong in the same zip: work in one folder.

# %%
from pathlib import Path

from notebook_tools import pack_submission

torch.save({"output": output}, "autograder.pt")
for key in missing_results():
    print(f"Missing in autograder.pt: {key}. Run the cell that computes it.")
pack_submission(Path("."), notebook="MAE_student.ipynb")
