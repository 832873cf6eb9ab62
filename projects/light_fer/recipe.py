# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Light FER's training as its repository has it, in plain PyTorch.

It is what training times are compared with, so nothing in here is made faster: faces in
memory, PIL transforms for each, one loader worker, fp32, both test splits evaluated
after every epoch (https://github.com/Hanna-Gao/HPML-project, ``original_train.py``
without its sampler, which cannot run).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from hpml_mm.models.mini_xception import ConvClsHead, MiniXception, ResidualBlock

BATCH_SIZE = 128
EPOCHS = 300
LEARNING_RATE = 0.01
DECAY_START, DECAY_EVERY, DECAY_RATE = 80, 5, 0.9

Faces = tuple[np.ndarray, Sequence[int]]


class FacesInMemory(Dataset):
    """Data set of an array of faces, each transformed as a PIL image when read.

    Args:
        faces: Pixels of shape (N, 48, 48), uint8, and labels, N numbers.
        transform: From a PIL image to a tensor.
    """

    def __init__(self, faces: Faces, transform: Callable) -> None:
        self.images, self.labels = faces
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.fromarray(self.images[index])
        return self.transform(image), int(self.labels[index])


class _StridedBlock(nn.Module):
    """Residual block of the original: a stride of 2 in the shortcut's convolution."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        assert isinstance(block, ResidualBlock)
        self.shortcut, self.residual = block.shortcut, block.residual
        convolution = self.shortcut[0]
        assert isinstance(convolution, nn.Conv2d)
        convolution.stride = (2, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Map features (N, C, H, W) to a map of half the size."""
        return self.shortcut(x) + self.residual(x)


class LightFERNet(nn.Module):
    """Network of the recipe, with BatchNorm momentum .99 as in its repository."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = MiniXception(bn_momentum=0.99)
        self.head = ConvClsHead()
        blocks = map(_StridedBlock, self.backbone.blocks)
        self.backbone.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        """Map faces (N, 1, 44, 44) in [0, 1] to logits (N, 7)."""
        return self.head(self.backbone(x))


@dataclass(frozen=True)
class Epoch:
    """Measurements at the end of one epoch.

    Attributes:
        number: From 1.
        seconds: Since training began, the evaluations included.
        accuracies: Percentages by split.
    """

    number: int
    seconds: float
    accuracies: dict[str, float]


def learning_rate(epoch: int) -> float:
    """Learning rate of an epoch, from 0: constant, then times .9 every five epochs."""
    if epoch <= DECAY_START:
        return LEARNING_RATE
    return LEARNING_RATE * DECAY_RATE ** ((epoch - DECAY_START) // DECAY_EVERY)


def train(
    splits: dict[str, Faces],
    watched: str,
    target: float,
    *,
    epochs: int = EPOCHS,
    workers: int = 1,
    seed: int = 0,
    report: Callable[[Epoch], None] = print,
) -> Epoch:
    """Train until a split's accuracy reaches a target, or the epochs are over.

    Args:
        splits: Faces of ``'train'`` and of every split to evaluate.
        watched: The split whose accuracy counts.
        target: Accuracy in per cent.
        epochs: At most so many.
        workers: Loader workers; 1 in the original.
        seed: The original sets none.
        report: Called after every epoch.

    Returns:
        The last epoch.
    """
    torch.manual_seed(seed)
    net = LightFERNet()
    optimizer = torch.optim.SGD(
        net.parameters(), LEARNING_RATE, momentum=0.9, weight_decay=5e-3
    )
    loaders = {name: _loader(name, faces, workers) for name, faces in splits.items()}
    began = time.perf_counter()
    for number in range(epochs):
        for group in optimizer.param_groups:
            group['lr'] = learning_rate(number)
        _train_epoch(net, loaders['train'], optimizer)
        accuracies = {
            name: _accuracy(net, loader)
            for name, loader in loaders.items()
            if name != 'train'
        }
        epoch = Epoch(number + 1, time.perf_counter() - began, accuracies)
        report(epoch)
        if accuracies[watched] >= target:
            break
    return epoch


def _loader(split: str, faces: Faces, workers: int) -> DataLoader:
    train = split == 'train'
    crop = transforms.RandomCrop(44) if train else transforms.CenterCrop(44)
    flip = [transforms.RandomHorizontalFlip()] if train else []
    transform = transforms.Compose([crop, *flip, transforms.ToTensor()])
    return DataLoader(
        FacesInMemory(faces, transform), BATCH_SIZE, shuffle=train, num_workers=workers
    )


def _train_epoch(net: nn.Module, loader: DataLoader, optimizer: Optimizer) -> None:
    net.train()
    for images, labels in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(images), labels)
        loss.backward()
        optimizer.step()
        loss.item()  # summed for the log, in every step


@torch.no_grad()
def _accuracy(net: nn.Module, loader: DataLoader) -> float:
    net.eval()
    correct = total = 0
    for images, labels in loader:
        logits = net(images)
        F.cross_entropy(logits, labels).item()
        correct += int((logits.argmax(1) == labels).sum())
        total += len(labels)
    return 100 * correct / total
