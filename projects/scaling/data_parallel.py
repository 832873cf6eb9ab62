# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
r"""Time DataParallel beside DistributedDataParallel on several GPUs.

    python -m projects.scaling.data_parallel --gpus 2 --batch 32 \
        configs/coco_pose/td-hm_hrnet-w32_1xb32-210e_coco-256x192.py \
        --rows results/data-parallel-hrnet-w32.csv

Training steps on made-up images of a pose config's size, in full precision, so that
neither loader nor hooks count: one GPU, then N with the same batch each, by one
process (DataParallel, as hpml-2023 and HRNet's own code train) and by N processes.
Rounds alternate. The efficiency is that of projects/scaling/README.md.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

import hpml_mm  # noqa: F401  # isort: skip  # makes mmpose importable
import mmpose.models  # noqa: F401  # registers the networks
from mmengine.registry import DefaultScope
from torch import Tensor, distributed, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from hpml_mm.cli.outputs import add_rows_option
from hpml_mm.config.command.errors import clear_errors
from hpml_mm.config.overrides import load_config
from hpml_mm.experiments.rows import ResultRow, append_results, result_row
from hpml_mm.registry import MODELS
from hpml_mm.utils.env import environment
from hpml_mm.utils.messages import markdown_table
from hpml_mm.utils.stats import Quartiles, quartiles, turns


class Heatmaps(nn.Module):
    """A pose network that takes images and gives heatmaps, for wrappers that scatter.

    Args:
        model: Dict of the pose estimator.
    """

    def __init__(self, model: dict) -> None:
        super().__init__()
        with DefaultScope.overwrite_default_scope('mmpose'):
            self.model = MODELS.build(model)

    def forward(self, images: Tensor) -> Tensor:
        """Map images, (N, 3, H, W), to heatmaps, (N, keypoints, h, w)."""
        return self.model(images, None, mode='tensor')


def seconds_a_step(
    network: nn.Module, images: Tensor, steps: int, warmup: int
) -> float:
    """Mean time of a training step on one batch: forward, backward and Adam."""
    with torch.no_grad():
        targets = torch.rand_like(network(images))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    begun = 0.0
    for step in range(warmup + steps):
        if step == warmup:
            _wait(images.device)
            begun = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        nn.functional.mse_loss(network(images), targets).backward()
        optimizer.step()
    _wait(images.device)
    return (time.perf_counter() - begun) / steps


def by_one_process(
    model: dict, size: Sequence[int], batch: int, devices: Sequence[str], steps: int
) -> float:
    """Time of a step of one process; with several devices, of DataParallel."""
    network: nn.Module = Heatmaps(model).to(devices[0])
    if len(devices) > 1:
        network = DataParallel(
            network, device_ids=[torch.device(one) for one in devices]
        )
    images = torch.rand(batch * len(devices), 3, *size, device=devices[0])
    return seconds_a_step(network, images, steps, warmup=max(steps // 4, 1))


def by_processes(
    model: dict, size: Sequence[int], batch: int, devices: Sequence[str], steps: int
) -> float:
    """Time of a step of one process for each device, of the slowest."""
    with tempfile.TemporaryDirectory() as folder:
        args = (model, size, batch, devices, steps, folder)
        torch.multiprocessing.spawn(_process, args, nprocs=len(devices))
        files = sorted(Path(folder).glob('rank*'))
        return max(float(path.read_text(encoding='utf-8')) for path in files)


def _process(
    rank: int,
    model: dict,
    size: Sequence[int],
    batch: int,
    devices: Sequence[str],
    steps: int,
    folder: str,
) -> None:
    """Train as one of several processes, and leave the time in the folder."""
    device = torch.device(devices[rank])
    on_gpu = device.type == 'cuda'
    distributed.init_process_group(
        'nccl' if on_gpu else 'gloo',
        init_method=f'file://{folder}/meeting',
        rank=rank,
        world_size=len(devices),
    )
    if on_gpu:
        torch.cuda.set_device(device)
    else:
        torch.set_num_threads(1)
    network = DistributedDataParallel(
        Heatmaps(model).to(device), device_ids=[device] if on_gpu else None
    )
    images = torch.rand(batch, 3, *size, device=device)
    seconds = seconds_a_step(network, images, steps, warmup=max(steps // 4, 1))
    Path(folder, f'rank{rank}').write_text(str(seconds), encoding='utf-8')
    distributed.destroy_process_group()


def measure(
    sides: Mapping[str, Callable[[], float]], rounds: int
) -> dict[str, list[float]]:
    """Seconds a step of each side, in rounds that alternate."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for names in turns(list(sides), rounds):
        for name in names:
            found[name].append(sides[name]())
    return found


def rows(
    name: str,
    found: Mapping[str, Sequence[float]],
    batch: int,
    gpus: int,
    argv: Sequence[str],
) -> list[ResultRow]:
    """Images/s of all GPUs of each side, and the efficiency of the two parallel ones.

    Args:
        name: Name of the experiment.
        found: Seconds a step: ``one``, ``dp`` and ``ddp``.
        batch: Images of one GPU in a step.
        gpus: Number of GPUs of the parallel sides.
        argv: ``sys.argv`` of the command.
    """
    environment_ = environment()
    rates = {
        side: quartiles([batch * (1 if side == 'one' else gpus) / s for s in seconds])
        for side, seconds in found.items()
    }
    one = rates['one'].median
    made = []
    for side, rate in rates.items():
        numbers = {'throughput/all(img/s)': rate}
        if side != 'one':
            share = 100 / gpus / one
            numbers['efficiency(%)'] = Quartiles(
                share * rate.median, share * rate.low, share * rate.high, rate.n
            )
        made += [
            result_row(
                f'{name}/{side}',
                metric,
                number.median_iqr,
                number.n,
                environment=environment_,
                argv=argv,
                baseline=one if metric.startswith('throughput') else None,
            )
            for metric, number in numbers.items()
        ]
    return made


def main() -> None:
    """Measure all sides, print them and write their rows."""
    parser = argparse.ArgumentParser(
        prog='python -m projects.scaling.data_parallel',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='of poses')
    parser.add_argument('--gpus', type=int, default=2)
    parser.add_argument('--batch', type=int, default=32, help='images of each GPU')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--steps', type=int, default=20)
    parser.add_argument('--name', default='data-parallel', help='of the experiment')
    add_rows_option(parser)
    args = parser.parse_args()
    with clear_errors():
        there = torch.cuda.device_count()
        if not 1 < args.gpus <= there:
            raise ValueError(
                f'--gpus {args.gpus}: DataParallel needs at least two GPUs, and there '
                f'are {there} here'
            )
        cfg = load_config(args.config, {})
        width, height = cfg.codec.input_size
        gpus = [f'cuda:{index}' for index in range(args.gpus)]
        common = (cfg.model, (height, width), args.batch)
        sides = {
            'one': lambda: by_one_process(*common, gpus[:1], args.steps),
            'dp': lambda: by_one_process(*common, gpus, args.steps),
            'ddp': lambda: by_processes(*common, gpus, args.steps),
        }
        found = measure(sides, args.rounds)
        argv = ['-m', 'projects.scaling.data_parallel', *sys.argv[1:]]
        made = rows(args.name, found, args.batch, args.gpus, argv)
        if args.rows:
            append_results(args.rows, made)
    lines = [(r.experiment, r.metric, f'{r.value:.4g}', str(r.n)) for r in made]
    print(markdown_table(('side', 'metric', 'median', 'n'), lines))


def _wait(device: torch.device) -> None:
    """Wait for all GPUs, where the device is one."""
    if device.type == 'cuda':
        for index in range(torch.cuda.device_count()):
            torch.cuda.synchronize(index)


if __name__ == '__main__':
    main()
