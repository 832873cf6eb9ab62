# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Every command of the documents runs; all that is changed is how long it trains.

``make`` targets are exempt: CI runs the tests through one of them.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS as POSE_MODELS
from mmpretrain.models import EfficientNet, ResNet
from PIL import Image
from python_process import run_python

from hpml_mm.datasets.fer.classes import FER_CLASSES
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.graphs.graph import Entry
from hpml_mm.predictor.spaces import get_space
from hpml_mm.utils.env import environment as get_environment
from hpml_mm.utils.files import dump_strict

ROOT = Path(__file__).parents[1]
DOCUMENTS = (
    'README.md',
    'CONTRIBUTING.md',
    'configs/README.md',
    'configs/aiop/README.md',
    'configs/fer/README.md',
    'configs/cat_pose/README.md',
    'configs/coco_pose/README.md',
    'docs/performance.md',
    'docs/predictor.md',
    'docs/quantization.md',
    *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob('projects/*/README.md')),
)
BLOCK = re.compile(r'^```bash\n(.*?)^```', re.MULTILINE | re.DOTALL)
# Two shuffled batches of each loader, and one epoch.
SHORT = [
    f'{loader}_dataloader.batch_sampler.{setting}'
    for loader in ('train', 'val')
    for setting in ('type=hpml_mm.LimitedBatchSampler', 'num_batches=2')
] + ['train_cfg.max_epochs=1']
TRAINS = ('tools/train.py', 'tools/dist_train.sh')


def commands():
    """Lines of the bash blocks, continued ones joined, with their document.

    A command that several documents show is run once.
    """
    found = {}
    for document in DOCUMENTS:
        text = (ROOT / document).read_text(encoding='utf-8')
        for block in BLOCK.findall(text):
            for line in block.replace('\\\n', ' ').splitlines():
                if line.strip() and not line.startswith('#'):
                    found.setdefault(' '.join(line.split()), document)
    return found


COMMANDS = commands()
RUN = [
    pytest.param(command, id=f'{document}: {command[:60]}')
    for command, document in COMMANDS.items()
    if not command.startswith(('make ', 'export ', 'source ', 'tensorboard '))
]


def shortened(command):
    """The command's words; a training gets the options that make it short."""
    words = shlex.split(command)
    if any(tool in words for tool in TRAINS):
        words.append('--cut-short')
        if '--cfg-options' not in words:
            words.append('--cfg-options')
        at = words.index('--cfg-options') + 1
        words[at:at] = SHORT
    if words[:2] == ['hpml', 'sweep']:
        words += ['--work-dir', 'work_dirs/test_docs']
        words[words.index('--iters') + 1] = '12'
        words[words.index('--rounds') + 1] = '1'
    if words[:2] == ['hpml', 'benchmark']:
        words += ['--rounds', '1', '--batches', '1', '--warmup', '1']
    if 'projects.light_fer' in words:
        words[words.index('--target') + 1] = '0'
        words += ['--data-root', 'faces', '--workers', '0']
    if words[:2] == ['hpml', 'quantize']:
        words += ['--latency-seconds', '0', '--max-drop', 'none']
    if words[:3] == ['hpml', 'nas', 'search']:
        words += ['--trials', '100']
    if words[:3] == ['hpml', 'nas', 'train']:
        words[words.index('-n') + 1] = '50'
    if words[:2] == ['hpml', 'tune']:
        words += ['--seconds', '0.1']
    return words


@pytest.fixture(scope='session')
def downloads(tmp_path_factory):
    """Stand-ins for what a user has downloaded or trained."""
    place = tmp_path_factory.mktemp('downloads')
    backbone = EfficientNet(arch='b0').state_dict()
    weights = {f'backbone.{name}': weight for name, weight in backbone.items()}
    torch.save({'state_dict': weights}, place / 'efficientnet-b0.pth')
    torch.save(ResNet(depth=50).state_dict(), place / 'resnet50.pth')
    (leaf,) = (ROOT / 'configs' / 'cat_pose').glob('*mobilenet-v2_1xb32-*70e_*')
    settings = Config.fromfile(leaf).model
    settings.backbone.init_cfg = None
    init_default_scope('mmpose')
    pose = POSE_MODELS.build(settings).state_dict()
    for name in ('ten.pth', 'seventy.pth'):
        torch.save(pose, place / name)
    save_graphs(place / 'graphs' / 'ofa-mbv3-w1.0.safetensors')
    save_runs(place / 'work_dirs')
    for folder in (
        f'{split}/{name}' for split in ('train', 'val') for name in FER_CLASSES
    ):
        (place / 'faces' / folder).mkdir(parents=True)
        Image.new('L', (48, 48)).save(place / 'faces' / folder / '0.png')
    return place


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
    shutil.copytree(downloads / 'work_dirs', tmp_path / 'work_dirs')
    shutil.copytree(downloads / 'graphs', tmp_path / 'work_dirs' / 'graphs')
    return tmp_path


def environment(real_data):
    python = Path(sys.executable).parent
    return os.environ | {
        'HPML_MM_DATA': str(real_data),
        'PATH': f'{python}{os.pathsep}{os.environ["PATH"]}',
        'OMP_NUM_THREADS': '1',
    }


def test_the_documents_hold_commands():
    assert len(RUN) >= 8
    assert any(command.startswith('make demo') for command in COMMANDS)
    assert any(command.startswith('tensorboard') for command in COMMANDS)


@pytest.mark.real_data
@pytest.mark.system
@pytest.mark.parametrize('command', RUN)
def test_command(command, checkout, real_data, request):
    if any(model in command for model in ('hrnet', 'res50', 'efficientnet')):
        request.getfixturevalue('much_memory')
    words = shortened(command)
    for place, option in enumerate(words):
        if option in ('--out', '--plot', '--rows') and words[place + 1].startswith(
            'results/'
        ):
            own = checkout / Path(words[place + 1]).name
            if (ROOT / words[place + 1]).is_file():  # its rows may be asked for
                shutil.copy(ROOT / words[place + 1], own)
            words[place + 1] = str(own)
    env = environment(real_data)
    if words[0] == 'hpml':
        words[:1] = ['python', '-m', 'hpml_mm.cli']
    if words[0] == 'python':
        result = run_python(words[1:], checkout, env)
    else:
        result = subprocess.run(
            words, cwd=checkout, env=env, capture_output=True, text=True, timeout=600
        )
    assert result.returncode == 0, (result.stdout + result.stderr)[-3000:]


@pytest.mark.real_data
@pytest.mark.parametrize(
    'command', [c for c in COMMANDS if c.startswith('tensorboard ')]
)
def test_tensorboard_serves(command, checkout, real_data):
    """It says its address, which it does when it serves; then it is stopped."""
    process = subprocess.Popen(
        [*shlex.split(command), '--port', '0'],
        cwd=checkout,
        env=environment(real_data),
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
