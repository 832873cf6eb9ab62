# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Stages of the proof on a GPU: which commands run, and what must come of them."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

FER = 'configs/fer'
FACES = 'projects/gpu/configs/faces.py'
TOY = 'projects/gpu/configs/toy.py'
#: Accuracy that the faces must reach on PublicTest, in per cent.
TARGET = 63.0
_EFFICIENTNET = (
    f'{FER}/efficientnet-b0_1xb16-bf16-channels-last-array-30e_fer2013-224px.py'
)
_COMPILED = (
    f'{FER}/efficientnet-b0_1xb16-compile-channels-last-array-30e_fer2013-224px.py'
)
_MINI_XCEPTION = (
    f'{FER}/mini-xception_1xb128-bf16-channels-last-array-24e_fer2013-44px.py'
)
_HRNET = (
    'configs/coco_pose/'
    'td-hm_hrnet-w32_1xb32-bf16-channels-last-fused-input-210e_coco-256x192.py'
)
# A dry run shows no speed, on whatever machine.
_TOY_SECONDS = 600

Command = Sequence[str]


@dataclass(frozen=True)
class Plan:
    """Setting of a proof.

    Attributes:
        name: Name of the machine in rows and files.
        out: Folder of logs and runs.
        rows: Results file.
        gpus: GPUs that are there.
        toy: True for a dry run: made-up faces, one batch a measurement.
    """

    name: str
    out: Path
    rows: Path
    gpus: int
    toy: bool = False


@dataclass(frozen=True)
class Stage:
    """One part of the proof, which runs by itself.

    Attributes:
        name: Its name, for ``--only``.
        shows: What it shows, in a sentence.
        seconds: After so many it is ended and counts as failed.
        commands: What runs, one after the other.
        run: Work directory of a training whose numbers become rows.
        target: Accuracy that this training must reach, in per cent.
        leaves: File that must be there in the end; then the last command has to fail.
        lacks: Reason for which it cannot run here; empty if it can.
    """

    name: str
    shows: str
    seconds: int
    commands: Sequence[Command]
    run: Path | None = None
    target: float | None = None
    leaves: Path | None = None
    lacks: str = ''


def stages(plan: Plan) -> list[Stage]:
    """All stages, in the order in which they run."""
    makers: tuple[Callable[[Plan], Stage], ...] = (
        *(_tests, _faces, _mini_xception, _graphs, _efficientnet, _compiled, _hrnet),
        *(_memory, _scaling),
    )
    found = [make(plan) for make in makers]
    return [replace(one, seconds=_TOY_SECONDS) for one in found] if plan.toy else found


def _tests(plan: Plan) -> Stage:
    command = [sys.executable, '-m', 'pytest', '-q', '-m', 'gpu', 'tests', 'projects']
    return Stage(
        'tests',
        'what only a GPU can show of the hooks',
        50,
        [[*command, '--collect-only'] if plan.toy else command],
        lacks=_without_gpu(plan),
    )


def _faces(plan: Plan) -> Stage:
    run = plan.out / 'faces'
    return Stage(
        'faces',
        f'{TARGET:.0f} % on PublicTest: time, wait, idle device, MFU, memory, energy',
        95,
        [_hpml('train', TOY if plan.toy else FACES, *_anew(run))],
        run=run,
        target=None if plan.toy else TARGET,
    )


def _mini_xception(plan: Plan) -> Stage:
    return _against_amp(plan, 'mini-xception', _MINI_XCEPTION, 30)


def _graphs(plan: Plan) -> Stage:
    config = 'projects/gpu/configs/graphs.py'
    return _against_amp(plan, 'mini-xception-graphs', config, 45)


def _efficientnet(plan: Plan) -> Stage:
    return _against_amp(plan, 'efficientnet-b0', _EFFICIENTNET, 30)


def _compiled(plan: Plan) -> Stage:
    return _against_amp(plan, 'efficientnet-b0-compile', _COMPILED, 45)


def _hrnet(plan: Plan) -> Stage:
    return _against_amp(plan, 'hrnet-w32', _HRNET, 35)


def _against_amp(plan: Plan, name: str, config: str, seconds: int) -> Stage:
    """Training steps beside stock MMEngine's mixed precision."""
    short = ['--rounds', '3', '--seconds', '1.5']
    return Stage(
        name,
        f'images/s of training steps of {name}, beside stock MMEngine with AMP',
        seconds,
        [
            _hpml(
                *('benchmark', 'train', TOY if plan.toy else config),
                *('--against', 'stock', '--against-options'),
                'optim_wrapper.type='
                + ('OptimWrapper' if plan.toy else 'AmpOptimWrapper'),
                *(['--rounds', '1', '--batches', '1'] if plan.toy else short),
                *('--name', f'gpu-{plan.name}/{name}', '--rows', str(plan.rows)),
            )
        ],
    )


def _memory(plan: Plan) -> Stage:
    run = plan.out / 'memory'
    return Stage(
        'memory',
        'a training for which memory is short says so and leaves a snapshot',
        30,
        [
            _hpml(
                *('train', _EFFICIENTNET, *_anew(run), '--cfg-options'),
                'train_dataloader.batch_size=20000',
            )
        ],
        leaves=run / 'out_of_memory.pickle',
        lacks=_without_gpu(plan),
    )


def _scaling(plan: Plan) -> Stage:
    """Epoch times on one GPU and on all."""
    runs = [(plan.out / f'scaling-{n}', n) for n in (1, plan.gpus)]
    trainings = [
        [
            *('bash', 'tools/dist_train.sh', _HRNET, str(n), *_anew(run)),
            *('--cut-short', '--cfg-options', 'train_cfg.max_epochs=1', 'val_cfg=None'),
            *('val_dataloader=None', 'val_evaluator=None'),
        ]
        for run, n in runs
    ]
    table = [sys.executable, '-m', 'projects.scaling', *(str(run) for run, _ in runs)]
    table += ['--name', f'gpu-{plan.name}/scaling', '--rows', str(plan.rows)]
    return Stage(
        'scaling',
        'speed-up and efficiency of HRNet-W32 over the GPUs there are',
        120,
        [*trainings, table],
        lacks='' if plan.gpus > 1 else f'it needs two GPUs, and {plan.gpus} is here',
    )


def _without_gpu(plan: Plan) -> str:
    return '' if plan.gpus else 'it needs a GPU'


def _anew(run: Path) -> list[str]:
    """Options of a training that takes the place of an earlier one."""
    return ['--work-dir', str(run), '--overwrite']


def _hpml(*words: str) -> list[str]:
    return [sys.executable, '-m', 'hpml_mm.cli', *words]
