# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import hpml_mm  # noqa: F401  # isort: skip  # makes mmpose importable
import argparse
import collections
import datetime
import os
import pickle
import random
import socket
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hostile_files import attribute, by_attributes, call, lookup, name, text, write
from mmengine.config import Config, ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader, checkpoint
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from python_process import run_python
from torch import nn
from toy_tools import ROOT, toy_runner

from hpml_mm.compat.safe_load import TRUST, RefusedFileError, load_safely
from hpml_mm.config.command.errors import clear_errors
from hpml_mm.datasets.pose.metainfo import metainfo_file


class Marker:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def notes() -> dict:
    """What checkpoints of MMEngine, MMPose and MMCV 1 hold beside weights."""
    return dict(
        time=datetime.datetime(2020, 1, 2, 3),
        settings=ConfigDict(a=dict(b=[1])),
        config_object=Config(dict(a=dict(b=2))),
        arguments=argparse.Namespace(lr=0.1, sizes=np.arange(3)),
        defaults=collections.defaultdict(list, {1: [2]}),
        best=np.float32(3.5),
        wide=np.arange(6.0).reshape(2, 3).T,
        swapped=np.arange(3, dtype='>i4'),
        names=np.array(['a', 'bc']),
        empty=np.zeros((0, 3)),
        flags=(np.bool_(True), slice(1, 2), {1, 2}, complex(1, 2)),
        numpy=np.random.RandomState(0).get_state(),
        python=random.Random(0).getstate(),
    )


@pytest.mark.parametrize('new', [True, False], ids=['zip', 'legacy'])
def test_what_openmmlab_saves_comes_back(tmp_path, new):
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    hub = dict(log_scalars={'loss': HistoryBuffer([1.0, 2.0], [1, 1])})
    saved = dict(state_dict=model.state_dict(), meta=notes(), message_hub=hub)
    path = tmp_path / 'good.pth'
    torch.save(saved, path, _use_new_zipfile_serialization=new)
    found = CheckpointLoader.load_checkpoint(str(path), 'cpu')
    assert found['state_dict']._metadata == model.state_dict()._metadata
    for key, weight in model.state_dict().items():
        assert torch.equal(found['state_dict'][key], weight)
    history = found['message_hub']['log_scalars']['loss']
    assert type(history) is HistoryBuffer
    assert history.statistics('mean') == 1.5
    history.update(6.0)
    assert history.mean() == 3
    meta, wanted = found['meta'], notes()
    for key in ('time', 'flags', 'best', 'python', 'defaults'):
        assert meta[key] == wanted[key]
    for key in ('wide', 'swapped', 'names', 'empty'):
        assert meta[key].dtype == wanted[key].dtype
        np.testing.assert_array_equal(meta[key], wanted[key])
    assert type(meta['settings']) is ConfigDict
    assert meta['settings'].a.b == [1]
    assert meta['config_object'].a.b == 2
    np.testing.assert_array_equal(meta['arguments'].sizes, [0, 1, 2])
    np.testing.assert_array_equal(meta['numpy'][1], wanted['numpy'][1])
    meta['wide'][0, 0] = 7  # as numpy's own, it can be written to


def test_dicts_of_mmcv_1(tmp_path):
    """They pickle item by item, and name themselves as their state."""
    old = name('mmcv.utils.config.ConfigDict') + b')\x81q\x01'
    old += text('items') + b'K\x05sh\x01b'
    path = write(tmp_path / 'old.pth', b'}' + text('meta') + old + b's')
    assert dict(load_safely(path)['meta'].items()) == {'items': 5}


def harm(marker: Path) -> dict[str, tuple[bytes, str]]:
    """Programs that would make a folder, or change what other code uses."""
    here = text(str(marker))
    system = text(f'mkdir {marker}')
    kind = call(name('numpy.dtype'), text('V8'))
    return {
        'posix.system': (call(name('posix.system'), system), 'posix.system'),
        'os.mkdir': (call(name('os.mkdir'), here), 'os.mkdir'),
        'eval': (call(name('builtins.eval'), text('1')), 'eval'),
        'attributes': (by_attributes(f'mkdir {marker}'), 'getattr'),
        'globals': (
            attribute(attribute(name('torch._utils._rebuild_tensor'), 'a'), 'b'),
            'getattr',
        ),
        'a dict as attributes': (lookup(b'}', 'x'), 'getattr'),
        'torch.jit': (call(name('torch.jit.load'), here), 'torch.jit.load'),
        'torch.hub': (call(name('torch.hub.load'), here), 'torch.hub.load'),
        'functools': (name('functools.partial'), 'functools.partial'),
        'numpy.load': (call(name('numpy.load'), here), 'numpy.load'),
        'a type that is called': (call(name('builtins.int'), text('1')), 'called'),
        'raw memory': (kind, 'V8'),
        'objects': (call(name('numpy.dtype'), text('O8')), 'O8'),
    }


@pytest.mark.parametrize('legacy', [False, True], ids=['zip', 'legacy'])
@pytest.mark.parametrize('case', harm(Path()))
def test_nothing_runs(tmp_path, case, legacy):
    marker = tmp_path / 'ran'
    program, named = harm(marker)[case]
    path = write(
        tmp_path / 'bad.pth', b'}' + text('state_dict') + program + b's', legacy
    )
    with pytest.raises(RefusedFileError, match=named) as raised:
        checkpoint._safe_torch_load(str(path), 'cpu')
    assert not marker.exists()
    assert '\n' not in str(raised.value)
    assert str(path) in str(raised.value)


def test_a_trusted_file_is_loaded(tmp_path, monkeypatch):
    for mark in ('a', 'b'):
        torch.save({'x': Marker(tmp_path / mark)}, tmp_path / f'{mark}.pth')
    with pytest.raises(RefusedFileError, match=f'{TRUST}={tmp_path}/a.pth'):
        load_safely(tmp_path / 'a.pth')
    link = tmp_path / 'link.pth'
    link.symlink_to('a.pth')
    monkeypatch.setenv(TRUST, os.pathsep.join(['none.pth', str(link)]))
    load_safely(tmp_path / 'a.pth')
    assert (tmp_path / 'a').is_dir()
    with pytest.raises(RefusedFileError, match='posix.mkdir'):
        load_safely(tmp_path / 'b.pth')
    assert not (tmp_path / 'b').exists()


def test_what_torch_was_told_to_allow_stays_allowed(tmp_path):
    torch.save({'x': Marker}, tmp_path / 'a.pth')
    before = torch.serialization.get_safe_globals()
    with torch.serialization.safe_globals([Marker]):
        assert load_safely(tmp_path / 'a.pth') == {'x': Marker}
    assert set(torch.serialization.get_safe_globals()) == set(before)


def bomb(levels: int) -> list:
    inner: list = [0] * 10
    for _ in range(levels):
        inner = [inner] * 10
    return inner


def nest(levels: int) -> list:
    inner: list = []
    for _ in range(levels):
        inner = [inner]
    return inner


def cycle() -> list:
    inner: list = []
    inner.append(inner)
    return inner


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        ({'meta': {'x': bomb(9)}}, 'repeat each other'),
        ({'meta': {'x': nest(100)}}, 'nested deeper'),
        ({'meta': {'x': cycle()}}, 'nested deeper'),
        ({'state_dict': {'w': torch.zeros(1).expand(2**29)}}, 'larger than the file'),
        ({'state_dict': [1]}, 'state_dict is a list'),
        ({'state_dict': {1: torch.zeros(1)}}, 'the name 1'),
        ({'meta': 'x', 'state_dict': {}}, 'meta is a str'),
        ([torch.zeros(1)], 'holds a list'),
    ],
)
def test_content_without_reason_is_refused(tmp_path, content, reason):
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(RefusedFileError, match=reason):
        load_safely(tmp_path / 'a.pth')


def test_a_compressed_file_is_refused(tmp_path):
    torch.save({'w': torch.zeros(10_000)}, tmp_path / 'a.pth')
    with (
        zipfile.ZipFile(tmp_path / 'a.pth') as old,
        zipfile.ZipFile(tmp_path / 'b.pth', 'w', zipfile.ZIP_DEFLATED) as new,
    ):
        for part in old.namelist():
            new.writestr(part, old.read(part))
    with pytest.raises(RefusedFileError, match=r'would unpack \d+ bytes to 4\d{4}'):
        load_safely(tmp_path / 'b.pth')


def test_texts_that_would_be_read_as_python_are_dropped(tmp_path):
    torch.save({'meta': {'config': 'import os', 'iter': 1}}, tmp_path / 'a.pth')
    assert checkpoint._safe_torch_load(tmp_path / 'a.pth') == {'meta': {'iter': 1}}


def test_a_download_is_loaded_safely(tmp_path):
    torch.save({'x': Marker(tmp_path / 'ran')}, tmp_path / 'a.pth')
    with pytest.raises(RefusedFileError, match=r'cache/a\.pth holds'):
        checkpoint.load_url((tmp_path / 'a.pth').as_uri(), str(tmp_path / 'cache'))
    assert not (tmp_path / 'ran').exists()


def test_a_download_that_fails_is_one_line_with_the_place_for_the_file(
    tmp_path, capsys
):
    with socket.socket() as taken:  # bound, yet nothing listens there
        taken.bind(('127.0.0.1', 0))
        url = f'http://127.0.0.1:{taken.getsockname()[1]}/a.pth'
        with pytest.raises(SystemExit) as caught, clear_errors():
            checkpoint.load_url(url, str(tmp_path / 'cache'))
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f'error: {url} could not be downloaded (')
    assert line.endswith(f'put it at {tmp_path}/cache/a.pth')
    assert list((tmp_path / 'cache').iterdir()) == []


def same(one, two) -> bool:
    """True for equal nested containers of tensors, arrays, histories and others."""
    if isinstance(one, dict):
        keys = one.keys() == two.keys()
        return keys and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(same, one, two))
    if isinstance(one, HistoryBuffer):
        return same(one.data, two.data)
    if isinstance(one, torch.Tensor | np.ndarray):
        return one.dtype == two.dtype and bool((one == two).all())
    return type(one) is type(two) and one == two


def test_a_training_resumes_with_all_that_was_saved(tmp_path):
    hooks = [dict(type='EMAHook')]
    changes = dict(custom_hooks=hooks, train_cfg=dict(by_epoch=True, max_epochs=1))
    toy_runner(tmp_path, **changes).train()
    path = str(tmp_path / 'epoch_1.pth')
    found = CheckpointLoader.load_checkpoint(path, 'cpu')
    assert {'optimizer', 'message_hub', 'ema_state_dict', 'param_schedulers'} <= set(
        found
    )
    assert same(found, torch.load(path, weights_only=False))
    changes['train_cfg']['max_epochs'] = 2
    runner = toy_runner(tmp_path, load_from=path, resume=True, **changes)
    runner.train()
    assert runner.epoch == 2
    losses = runner.message_hub.get_scalar('train/loss')
    assert len(losses.data[0]) == runner.iter


def test_keypoints_of_mmpose_come_back(tmp_path):
    """Some of their parts are dicts of a config."""
    metainfo = parse_pose_metainfo(dict(from_file=metainfo_file('coco_person')))
    path = tmp_path / 'a.pth'
    torch.save({'meta': {'dataset_meta': metainfo}}, path)
    found = load_safely(path)['meta']['dataset_meta']
    assert pickle.dumps(found) == pickle.dumps(metainfo)


def test_a_stock_run_that_imports_hpml_mm_is_safe(tmp_path):
    torch.save({'state_dict': {'x': Marker(tmp_path / 'ran')}}, tmp_path / 'a.pth')
    (tmp_path / 'config.py').write_text("custom_imports = dict(imports=['hpml_mm'])")
    (tmp_path / 'run.py').write_text(
        'from mmengine.config import Config\n'
        'from mmengine.runner import Runner, load_checkpoint\n'
        "Config.fromfile('config.py')\n"
        "load_checkpoint(None, 'a.pth')\n"
    )
    done = run_python(['run.py'], tmp_path, {'PYTHONPATH': str(ROOT)})
    assert 'RefusedFileError: a.pth holds the object posix.mkdir' in done.stderr
    assert not (tmp_path / 'ran').exists()
