# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Two processes with half a batch each have the gradients of one with all of it.

That is so where the loss is a mean over the batch, the halves are equal, and no layer
looks at other samples: BatchNorm in training does, so it is in evaluation here.
"""

import uuid
from pathlib import Path

import pytest
import torch
from hrnet_models import build_pose_model, hrnet_config
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from mmengine.structures import InstanceData, PixelData
from mmpose.structures import PoseDataSample
from two_ranks import on_two_ranks

from hpml_mm.runner import build_runner

KEYPOINTS = 5
BATCH = 4


def small_config():
    """ResNet-18 and one deconvolution: heatmaps of a sixteenth of the input."""
    config = hrnet_config(keypoints=KEYPOINTS)
    config['backbone'] = dict(type='ResNet', depth=18)
    config['head'] |= dict(
        in_channels=512, deconv_out_channels=(16,), deconv_kernel_sizes=(4,)
    )
    return config


def batch_of(heatmap):
    """Images, and samples whose keypoints are seen less and less."""
    generator = torch.Generator().manual_seed(1)
    samples = []
    for seen in range(BATCH):
        weights = torch.zeros(1, KEYPOINTS)
        weights[:, : KEYPOINTS - seen] = 1
        sample = PoseDataSample()
        maps = torch.rand(KEYPOINTS, heatmap, heatmap, generator=generator)
        sample.gt_fields = PixelData(heatmaps=maps)
        sample.gt_instance_labels = InstanceData(keypoint_weights=weights)
        samples.append(sample)
    return torch.rand(BATCH, 3, 64, 64, generator=generator), samples


def build_like(model, config):
    """Another model with the same weights and mode, without gradients."""
    copy = build_pose_model(config).train(model.training)
    copy.load_state_dict(model.state_dict())
    return copy


def gradients(model, images, samples):
    bare = getattr(model, 'module', model)
    loss, _ = bare.parse_losses(model(images, samples, mode='loss'))
    loss.backward()
    return {name: parameter.grad for name, parameter in bare.named_parameters()}


def largest_difference(some, others):
    """Of all parameters, relative to the largest gradient of each."""
    assert some.keys() == others.keys()
    return max(
        ((some[name] - other).abs().max() / other.abs().max()).item()
        for name, other in others.items()
    )


def _compare_on_a_rank(
    rank: int, folder: Path, config: dict, heatmap: int, training: bool
):
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    whole = build_pose_model(config).train(training)
    cfg = {
        'model': config,
        'work_dir': str(folder / f'rank{rank}'),
        'default_scope': 'mmpose',
        'experiment_name': uuid.uuid4().hex,
    }
    halved = build_runner(Config(cfg), 'pytorch').model.train(training)
    halved.module.load_state_dict(whole.state_dict())
    images, samples = batch_of(heatmap)
    own = slice(rank, None, 2)  # every second one, as DefaultSampler shares them out
    found = {
        'wrapper': type(halved),
        'halved': gradients(halved, images[own], samples[own]),
        'whole': gradients(whole, images, samples),
        'alone': gradients(build_like(whole, config), images[own], samples[own]),
    }
    torch.save(found, folder / f'rank{rank}.pth')


def on_both(folder, config, heatmap, training=False):
    on_two_ranks(_compare_on_a_rank, folder, config, heatmap, training)
    return [torch.load(folder / f'rank{r}.pth', weights_only=False) for r in (0, 1)]


@pytest.mark.slow
def test_two_halves_have_the_gradients_of_a_whole(tmp_path):
    for found in on_both(tmp_path, small_config(), heatmap=4):
        assert found['wrapper'] is MMDistributedDataParallel
        assert largest_difference(found['halved'], found['whole']) < 1e-11
        # What each process would have without the other is something else.
        assert largest_difference(found['alone'], found['whole']) > 0.05


@pytest.mark.slow
def test_batch_norm_in_training_sees_only_its_half(tmp_path):
    for found in on_both(tmp_path, small_config(), heatmap=4, training=True):
        assert largest_difference(found['halved'], found['whole']) > 0.05
