# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Where an array is kept."""

import logging

import torch
from mmengine.device import get_device
from mmengine.logging import print_log
from torch import Tensor


def choose_device(wanted: str, num_bytes: int, share: float) -> torch.device:
    """The device for an array.

    Args:
        wanted: ``'auto'`` for the device of the training where the array fits, else the
            name of one.
        num_bytes: Size of the array.
        share: The part of the free memory of a GPU that it may take.

    Returns:
        With ``'auto'`` the CPU where the array does not fit, which is said once.
    """
    if wanted != 'auto':
        return torch.device(wanted)
    if get_device() != 'cuda':
        return torch.device('cpu')
    free = torch.cuda.mem_get_info()[0]
    if num_bytes <= share * free:
        return torch.device('cuda', torch.cuda.current_device())
    print_log(
        f'FaceArrayDataset: {num_bytes / 2**20:,.0f} MiB of faces stay in the memory '
        f'of the host: more than {share:.0%} of the {free / 2**20:,.0f} MiB that are '
        'free on the GPU',
        logger='current',
        level=logging.WARNING,
    )
    return torch.device('cpu')


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """A small tensor of the CPU on a device, without waiting for it."""
    if device.type != 'cuda':
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
