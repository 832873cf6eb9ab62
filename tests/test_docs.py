# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Every command of the documents runs; all that is changed is how long it trains."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from doc_commands import NOT_RUN, commands, files, shortened, words_of
from light_fer_net import light_fer_weights
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS as POSE_MODELS
from mmpretrain.models import EfficientNet, ResNet
from PIL import Image
from pose_spots import write_spots
from python_process import run_python
from scipy.io import savemat
from toy_tools import call_tool

from hpml_mm.cli.doctor import AT_FAULT
from hpml_mm.datasets.fer.classes import FER_CLASSES
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.graphs.graph import Entry
from hpml_mm.predictor.spaces import Arch, get_space
from hpml_mm.utils.env import environment as get_environment
from hpml_mm.utils.files import dump_strict

ROOT = Path(__file__).parents[1]
COMMANDS = commands()
RUN = [
    pytest.param(command, id=f'{command.document}: {command.line[:60]}')
    for command in COMMANDS
    if command.reason_not_to_run is None
]
# They set up threads, memory and signals for their whole process.
OWN_PROCESS = ('train', 'test', 'sweep', 'grid', 'benchmark', 'quantize', 'tune')


@pytest.fixture(scope='session')
def downloads(tmp_path_factory):
    """Stand-ins for what a user has downloaded or trained."""
    place = tmp_path_factory.mktemp('downloads')
    backbone = EfficientNet(arch='b0').state_dict()
    weights = {f'backbone.{name}': weight for name, weight in backbone.items()}
    torch.save({'state_dict': weights}, place / 'efficientnet-b0.pth')
    torch.save(ResNet(depth=50).state_dict(), place / 'resnet50.pth')
    torch.save({'net': light_fer_weights()}, place / 'public_model_236_64.t7')
    (leaf,) = (ROOT / 'configs' / 'cat_pose').glob('*mobilenet-v2_1xb32-*70e_*')
    settings = Config.fromfile(leaf).model
    settings.backbone.init_cfg = None
    init_default_scope('mmpose')
    pose = POSE_MODELS.build(settings).state_dict()
    for name in ('ten.pth', 'seventy.pth'):
        torch.save(pose, place / name)
    save_graphs(place / 'graphs' / 'ofa-mbv3-w1.0.safetensors')
    save_runs(place / 'work_dirs')
    save_supernet_and_head(place)
    for folder in (
        f'{split}/{name}' for split in ('train', 'val') for name in FER_CLASSES
    ):
        (place / 'faces' / folder).mkdir(parents=True)
        Image.new('L', (48, 48)).save(place / 'faces' / folder / '0.png')
    faces = [{'class': 'Sad', 'folder_class': name} for name in FER_CLASSES]
    (place / 'public.json').write_text(json.dumps(faces))
    save_flowers(place / 'flowers')
    save_animals(place / 'animals')
    save_persons(place)
    return place


def save_supernet_and_head(place):
    """Once-for-All's largest MobileNetV3, and the head that its networks share."""
    space = get_space('ofa-mbv3-w1.0')
    values = tuple(max(slot.choices) for slot in space.slots)
    net = space.build(space.canonical(Arch(space.name, values)))
    leaves = ROOT / 'projects' / 'aiop' / 'configs'
    (supernet,), (shared,) = (
        leaves.glob(f'{kind}*.py') for kind in ('supernet', 'shared-head-sampled')
    )
    head = POSE_MODELS.build(Config.fromfile(shared).model.head).state_dict()
    weights = {f'head.{name}': weight for name, weight in head.items()}
    for leaf, name, state in (
        (supernet, 'epoch_40.pth', net.state_dict()),
        (shared, 'best_epoch_1.pth', weights),
    ):
        torch.save({'state_dict': state}, place / f'{leaf.stem}.pth')
        link = place / 'work_dirs' / leaf.stem / name
        link.parent.mkdir(parents=True)
        link.symlink_to(place / f'{leaf.stem}.pth')


def save_flowers(place):
    """Pictures of two classes, as one would have them in folders."""
    for split, name in product(('train', 'val'), ('daisy', 'rose')):
        folder = place / split / name
        folder.mkdir(parents=True)
        for number in range(8):
            Image.new('RGB', (32, 32), (number, 0, 0)).save(folder / f'{number}.png')


def save_animals(place):
    """Three keypoints an animal, in COCO's format."""
    content = json.loads(
        (write_spots(place / 'images', [0] * 8) / 'spots.json').read_text()
    )
    for one in content['annotations']:
        one.update(keypoints=one['keypoints'][:9], num_keypoints=3)
    for split in ('train', 'val'):
        (place / f'{split}.json').write_text(json.dumps(content))


def save_persons(place):
    """A person each of LSPET, LSP and MPII, as they are published."""
    test = np.zeros((3, 14, 1001))  # the first that LSP does not train on
    for name, joints in (('lspet', np.ones((14, 3, 1))), ('lsp', test)):
        (place / name / 'images').mkdir(parents=True)
        savemat(place / name / 'joints.mat', {'joints': joints})
    for image in ('lspet/images/im00001.jpg', 'lsp/images/im1001.jpg'):
        Image.new('RGB', (32, 32)).save(place / image)
    (place / 'mpii').mkdir()
    center = {'x': 8, 'y': 9}
    rect = {'scale': 1, 'objpos': center, 'annopoints': {'point': {**center, 'id': 0}}}
    annolist = {'image': {'name': '1.jpg'}, 'annorect': rect}
    release = {'annolist': annolist, 'img_train': 1}
    savemat(place / 'mpii' / 'mpii_human_pose_v1_u12_1.mat', {'RELEASE': release})


def save_graphs(path):
    """A cache of a few searched networks, their sizes as labels."""
    space = get_space(path.stem)
    rng = np.random.default_rng(0)
    entries = []
    for arch in {space.sample(rng) for _ in range(80)}:
        name, graph = space.encode(arch), space.graph(arch)
        costs = {'macs': graph.total_macs, 'params': graph.total_params}
        label = {'imagenet/top1(%)': 70 + graph.total_params / 1e6}
        entries.append(Entry(f'{path.stem}:{name}', graph, name, costs | label))
    path.parent.mkdir(parents=True)
    GraphCache.from_entries(entries).save(path)


def save_runs(place):
    """Finished runs of one and two processes, of two epochs each."""
    runs = {'scaling/one': 1, 'scaling/two': 2, 'sweep/cats-batch/b8/seed0': 1}
    for name, processes in runs.items():
        folder = place / name / '20260102_030405' / 'vis_data'
        folder.mkdir(parents=True)
        lines = [{'coco/AP': 0.1 * epoch, 'step': epoch} for epoch in (1, 2)]
        text = '\n'.join(map(json.dumps, lines))
        (folder / 'scalars.json').write_text(text)
        summary = {
            'status': 'finished',
            'mode': 'train',
            'train': {'epochs': 2, 'iters': 6, 'dataset_size': 24},
            'measurements': {'throughput/all(img/s)': 10.0 * processes},
            'config': {'train_dataloader': {'batch_size': 8}},
            'environment': get_environment() | {'processes': processes},
        }
        (place / name / 'summary.json').write_text(dump_strict(summary))


@pytest.fixture
def checkout(tmp_path, real_data, downloads):
    """A stand-in for the checkout whose work_dirs is the test's own."""
    for name in ('configs', 'hpml_mm', 'projects', 'tools', 'tests', 'results'):
        (tmp_path / name).symlink_to(ROOT / name)
    for file in downloads.iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / 'data').symlink_to(real_data)
    # Copies: commands write there.
    (tmp_path / 'work_dirs').unlink()
    shutil.copytree(downloads / 'work_dirs', tmp_path / 'work_dirs', symlinks=True)
    shutil.copytree(downloads / 'graphs', tmp_path / 'work_dirs' / 'graphs')
    return tmp_path


# SLURM's programs do here what SLURM would: they start what they are given.
SLURM = """#!/bin/bash
while [[ $1 == -* ]]; do shift; done
export SLURM_SUBMIT_DIR=$PWD SLURM_JOB_ID=7 SLURM_PROCID=0 SLURM_LOCALID=0
export SLURM_NTASKS=1 SLURM_NODELIST=localhost
[[ -x $(type -P "$1") ]] || set -- bash "$@"
exec "$@"
"""


def environment(real_data, stand_ins):
    python = Path(sys.executable).parent
    for name in ('sbatch', 'srun'):
        (stand_ins / name).write_text(SLURM)
        (stand_ins / name).chmod(0o755)
    path = [str(stand_ins), str(python), os.environ['PATH']]
    return os.environ | {
        'HPML_MM_DATA': str(real_data),
        'PATH': os.pathsep.join(path),
        'PYTHONPATH': os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')]),
        'OMP_NUM_THREADS': '1',
    }


def test_the_documents_hold_commands_of_each_kind():
    lines = [command.line for command in COMMANDS]
    starts = [*NOT_RUN, 'hpml ', 'python tools/', 'python -m projects.', 'torchrun ']
    for start in (*starts, 'sbatch '):
        assert any(line.startswith(start) for line in lines), start
    assert any(command.output for command in COMMANDS)


@pytest.mark.real_data
@pytest.mark.system
@pytest.mark.parametrize('command', RUN)
def test_command(command, checkout, real_data, request, monkeypatch):
    if any(model in command.line for model in ('hrnet', 'res50', 'efficientnet')):
        request.getfixturevalue('much_memory')
    for name, text in files(command.document).items():
        (checkout / name).write_text(text)
    variables, words = words_of(command.line)
    words = elsewhere(shortened(words), checkout)
    env = environment(real_data, checkout) | variables | {'COLUMNS': '120'}
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    result = run(words, checkout, env)
    found = {0, AT_FAULT} if words[:2] == ['hpml', 'doctor'] else {0}
    assert result.returncode in found, (result.stdout + result.stderr)[-3000:]
    assert command.output is None or command.shows(result.stdout), result.stdout


def elsewhere(words, checkout):
    """The words, with files of results that are the test's own."""
    words = list(words)
    for place, option in enumerate(words):
        if option in ('--out', '--plot', '--rows') and words[place + 1].startswith(
            'results/'
        ):
            own = checkout / Path(words[place + 1]).name
            if (ROOT / words[place + 1]).is_file():  # its rows may be asked for
                shutil.copy(ROOT / words[place + 1], own)
            words[place + 1] = str(own)
    return words


def run(words, checkout, env):
    """Run a command: in this process where it changes nothing of it."""
    if words[0] == 'hpml' and words[1] not in OWN_PROCESS:
        return call_tool(words[1], *words[2:], cwd=checkout)
    if words[0] == 'hpml':
        words = ['python', '-m', 'hpml_mm.cli', *words[1:]]
    if words[0] == 'python':
        return run_python(words[1:], checkout, env)
    return subprocess.run(
        words, cwd=checkout, env=env, capture_output=True, text=True, timeout=600
    )


@pytest.mark.real_data
@pytest.mark.parametrize(
    'line', [c.line for c in COMMANDS if c.line.startswith('tensorboard ')]
)
def test_tensorboard_serves(line, checkout, real_data):
    """It says its address, which it does when it serves; then it is stopped."""
    process = subprocess.Popen(
        [*shlex.split(line), '--port', '0'],
        cwd=checkout,
        env=environment(real_data, checkout),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # its data server goes with it
    )
    timer = threading.Timer(120, os.killpg, (process.pid, signal.SIGKILL))
    timer.start()
    with process:
        served = any('http://' in line for line in process.stderr)
        timer.cancel()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert served, 'it never served'
