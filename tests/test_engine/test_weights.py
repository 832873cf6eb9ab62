# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest
import torch
from mmengine.model import BaseModule
from mmengine.runner import load_checkpoint
from safetensors import safe_open
from torch import nn

from hpml_mm.engine.weights import (
    check_pretrained,
    check_start,
    export_weights,
    load_fitting,
    read_checkpoint,
    weights_for,
)


class Net(nn.Module):
    def __init__(self, width=3):
        super().__init__()
        self.hidden = nn.Linear(2, width)
        self.norm = nn.BatchNorm1d(width)


@pytest.fixture
def trained(tmp_path):
    """A checkpoint as a distributed run of MMEngine writes it, and its model."""
    torch.manual_seed(1)
    net = Net()
    path = tmp_path / 'epoch_1.pth'
    state = {f'module.{key}': value for key, value in net.state_dict().items()}
    meta = {
        'experiment_name': 'toy_2e_20260102_030405',
        'dataset_meta': {'classes': ('a', 'b', 'c')},
    }
    torch.save({'state_dict': state, 'optimizer': {'big': 1}, 'meta': meta}, path)
    return net, path


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_exported_weights_are_bare_and_equal(trained, tmp_path):
    net, path = trained
    copy = Net()
    load_fitting(copy, str(path))  # with the wrapper's prefix
    assert same(copy, net)
    target = str(tmp_path / 'new' / 'toy.safetensors')
    size = export_weights(str(path), target)
    assert size == (tmp_path / 'new' / 'toy.safetensors').stat().st_size
    with safe_open(target, framework='pt') as file:
        assert set(file.keys()) == set(net.state_dict())
        assert file.metadata() == {
            'format': 'pt',
            'classes': '["a", "b", "c"]',
            'config': 'toy_2e',
        }
    copy = Net()
    assert not same(copy, net)
    load_fitting(copy, target)
    assert same(copy, net)
    # MMEngine loads it itself.
    copy = Net()
    checkpoint = load_checkpoint(copy, target, strict=True)
    assert same(copy, net)
    assert checkpoint['meta']['dataset_meta'] == {'classes': ('a', 'b', 'c')}


def test_weights_that_do_not_fit_are_refused(trained, tmp_path):
    with pytest.raises(ValueError, match=r'does not fit the model: .*hidden.weight'):
        load_fitting(Net(width=4), str(trained[1]))
    with pytest.raises(ValueError, match='holds no weight of this model'):
        load_fitting(nn.Sequential(nn.Linear(2, 3)), str(trained[1]))
    net = Net()
    state = {k: v for k, v in net.state_dict().items() if k.startswith('hidden')}
    torch.save({'state_dict': state}, tmp_path / 'part.pth')
    with pytest.raises(ValueError, match='lacks 4 of the 7 weights'):
        load_fitting(net, str(tmp_path / 'part.pth'))


@pytest.mark.parametrize('name', ['a.pth', 'a.safetensors'])
@pytest.mark.parametrize('content', [b'', b'garbage', b'PK\x03\x04 cut'])
def test_a_damaged_file_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f'{name} cannot be read as a checkpoint'):
        read_checkpoint(str(tmp_path / name))


@pytest.mark.parametrize('name', ['a.pth', 'a.safetensors'])
def test_a_missing_file_is_missing(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=name):
        read_checkpoint(str(tmp_path / name))


def test_reading_is_silent_as_several_steps_read_one_file(tmp_path, capfd):
    torch.save({'state_dict': {'weight': torch.ones(1)}}, tmp_path / 'one.pth')
    read_checkpoint(str(tmp_path / 'one.pth'))
    assert capfd.readouterr() == ('', '')


def test_what_is_no_dict_is_refused(tmp_path):
    torch.save([1, 2], tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='holds a list'):
        read_checkpoint(str(tmp_path / 'a.pth'))


def test_an_export_has_the_right_ending(trained, tmp_path):
    with pytest.raises(ValueError, match=r'must end in \.safetensors'):
        export_weights(str(trained[1]), str(tmp_path / 'a.pth'))


def test_tied_weights_are_exported(tmp_path):
    weight = torch.ones(2, 2)
    torch.save({'state_dict': {'a': weight, 'b': weight.T}}, tmp_path / 'a.pth')
    export_weights(str(tmp_path / 'a.pth'), str(tmp_path / 'a.safetensors'), 'mine')
    checkpoint = read_checkpoint(str(tmp_path / 'a.safetensors'))
    assert set(checkpoint['state_dict']) == {'a', 'b'}
    assert checkpoint['meta']['config_name'] == 'mine'


class Small(BaseModule):
    def __init__(self, init_cfg=None):
        super().__init__(init_cfg)
        self.fc = torch.nn.Linear(2, 2)


@pytest.mark.parametrize(
    ('saved', 'prefix'), [('', None), ('backbone.', 'backbone.'), ('a.b.', 'a.b')]
)
def test_pretrained_weights_that_fit_pass(tmp_path, saved, prefix):
    path = tmp_path / 'w.pth'
    state = {f'{saved}fc.weight': torch.ones(2, 2)}  # half of it
    torch.save(state, path)
    init = dict(type='Pretrained', checkpoint=str(path), prefix=prefix)
    check_pretrained(torch.nn.Sequential(Small(init), Small()))


def test_pretrained_weights_under_a_prefix_are_told_of(tmp_path):
    path = tmp_path / 'w.pth'
    state = Small().state_dict()
    torch.save({f'backbone.{key}': value for key, value in state.items()}, path)
    init = [dict(type='Pretrained', checkpoint=str(path))]
    with pytest.raises(
        ValueError, match="of 0 under.*: set init_cfg.prefix='backbone.'"
    ):
        check_pretrained(torch.nn.Sequential(Small(init)))


def test_pretrained_weights_of_another_model_are_refused(tmp_path):
    path = tmp_path / 'w.pth'
    torch.save({'conv.weight': torch.ones(1)}, path)
    init = dict(type='Pretrained', checkpoint=str(path))
    with pytest.raises(ValueError, match=r'no weight of this model: it has conv.w'):
        check_pretrained(Small(init))


def test_a_checkpoint_that_fits_in_name_only_is_refused(tmp_path):
    path = tmp_path / 'w.pth'
    torch.save(Net(width=4).state_dict(), path)  # two buffers are alike by chance
    with pytest.raises(ValueError, match='holds 1 of the 7 weights of this model in'):
        check_start(str(path), torch.load(path), Net().state_dict())
    model = Small(dict(type='Pretrained', checkpoint=str(path)))
    model.fc = Net()
    torch.save({f'fc.{k}': v for k, v in Net(width=4).state_dict().items()}, path)
    with pytest.raises(ValueError, match='holds 1 of the 7 weights of this model'):
        check_pretrained(model)


def test_another_head_is_no_other_model():
    state = Net().state_dict() | {'norm.weight': torch.ones(9)}
    check_start('a.pth', state, Net().state_dict())
    assert weights_for(Net(), state, 'a.pth') == (state, None)
