# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Pickles of AIO-P and GENNAPE are read; what else a pickle may do is refused."""

import collections
import os
import pickle
import sys
import types

import numpy as np
import pytest
from predictor_command import printed, refused

from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.graphs.foreign import import_foreign, read_pickle

MODULE = 'model_src.comp_graph.tf_comp_graph'
IMAGE = [8, 8, 8, 8, 3, 3]


@pytest.fixture
def theirs(monkeypatch):
    """Their module, with classes that hold what theirs hold."""
    module = types.ModuleType(MODULE)
    for name in ('ComputeGraph', 'RegularNode', 'WeightedNode', 'Trainer'):
        setattr(module, name, type(name, (), {'__module__': MODULE}))
    for part in ('model_src', 'model_src.comp_graph'):
        monkeypatch.setitem(sys.modules, part, types.ModuleType(part))
    monkeypatch.setitem(sys.modules, MODULE, module)
    return module


def node(kind, label, resolution, **more):
    made = kind()
    vars(made).update(
        str_id=f'3|net/{label}', label=label, type_idx=0, op_type_idx=9, metadata=None
    )
    vars(made).update(resolution=resolution, strides=None, **more)
    return made


def record(theirs, name='OFA-MBV3-Net7', **more):
    """relu1 <- conv <- input, with the input behind the ReLU as theirs may be."""
    half = [8, 4, 8, 4, 3, 16]
    conv = node(theirs.WeightedNode, 'conv2d', half, shape=[3, 16, 3, 3])
    conv.strides, conv.metadata = (1, 2, 2, 1), {'use_bias': True}
    light = [
        node(theirs.RegularNode, 'fusedbatchnormv3', [4, 4, 4, 4, 16, 16]),
        node(theirs.RegularNode, 'input', IMAGE),
    ]
    light[1].str_id = '/added_input|0'
    graph = theirs.ComputeGraph()
    vars(graph).update(name=name, weighted_nodes=[conv], regular_nodes=light)
    vars(graph).update(edge_pairs=[(0, 1), (2, 0)], max_kernel_size=7)
    more = {'acc': np.float64(0.75), 'flops': 2.3e8, 'n_params': 500, **more}
    return {'compute graph': graph, 'original config': (224, [['e3_k5']]), **more}


def written(tmp_path, content, protocol=4):
    path = tmp_path / 'gpi_ofa_comp_graph_cache.pkl'
    path.write_bytes(
        content if isinstance(content, bytes) else pickle.dumps(content, protocol)
    )
    return path


def test_a_cache_of_theirs_becomes_one_of_ours(tmp_path, theirs, capsys):
    path = written(tmp_path, [record(theirs), record(theirs, '')])
    out = tmp_path / 'a.cache'
    (line,) = printed(capsys, 'cache', 'import', path, '--out', out)
    assert line.startswith(f'2 graphs written to {out}')
    first, second = GraphCache.load(out)
    assert (first.name, second.name) == ('OFA-MBV3-Net7', f'{path.stem}-1')
    assert first.arch == '[224, [["e3_k5"]]]'
    assert first.metrics == {'acc(%)': 75, 'gflops': 0.23, 'params': 500}
    graph = first.graph
    assert graph.labels == ['conv', 'input', 'batchnorm']
    assert graph.names == ('net/conv2d', 'input', 'net/fusedbatchnormv3')
    assert graph.edges.tolist() == [[0, 2], [1, 0]]
    assert graph.strides.tolist() == [[2, 2], [1, 1], [1, 1]]
    assert graph.biased.tolist() == [True]
    assert graph.macs.tolist() == [3 * 16 * 9 * 4 * 4, 0, 0]
    assert graph.params.tolist() == [3 * 16 * 9 + 16, 0, 32]


def test_metrics_have_their_task_and_unit(tmp_path, theirs):
    records = [
        record(theirs, 'a', flops=0.3, metric_map='obj_det_AP->acc'),
        record(theirs, 'b', flops=230e3, metric_map=None),  # of an unknown unit
    ]
    detected, classified = import_foreign(written(tmp_path, records))
    assert detected.metrics == {'obj_det_AP(%)': 75, 'gflops': 0.3, 'params': 500}
    assert classified.metrics == {'acc(%)': 75, 'params': 500}


def test_a_label_is_the_longest_operation_that_is_part_of_it(tmp_path, theirs):
    labels = {
        'relu6': 'relu6',
        'ReLU': 'relu',
        'DepthwiseConv2dNative': 'depthwise',
        'max_maxpool_3x3': 'maxpool',
        'softmax': 'OOV',
    }
    made = record(theirs)
    nodes = [node(theirs.RegularNode, label, IMAGE) for label in labels]
    made['compute graph'].regular_nodes.extend(nodes)
    (entry,) = import_foreign(written(tmp_path, [made]))
    assert entry.graph.labels[3:] == list(labels.values())


@pytest.mark.parametrize('protocol', [2, 3, 4])
def test_numbers_sets_and_arrays_of_numpy_are_read(tmp_path, protocol):
    array = np.asfortranarray(np.arange(6, dtype='>i2').reshape(2, 3))
    groups = collections.defaultdict(set, {'a': {1}})
    if protocol < 3:  # sets lie in another module there
        groups = {'a': 1}
    content = [array, np.float32(0.5), np.bool_(True), groups]
    found, number, flag, read = read_pickle(written(tmp_path, content, protocol))
    assert found.array.tolist() == array.tolist()
    assert (number, flag) == (0.5, True)
    assert read == groups


def test_a_genotype_of_darts_is_an_arch(tmp_path, theirs, monkeypatch):
    module = types.ModuleType('model_src.darts.model_darts')
    genotype = collections.namedtuple('Genotype', 'normal normal_concat')
    genotype.__module__, module.Genotype = module.__name__, genotype
    monkeypatch.setitem(sys.modules, module.__name__, module)
    config = genotype([('sep_conv_3x3', 0)], range(2, 6))
    more = {'original config': config}
    (entry,) = import_foreign(written(tmp_path, [record(theirs, **more)]))
    assert entry.arch == '[[["sep_conv_3x3", 0]], [2, 3, 4, 5]]'


def nested(depth):
    """A list of two lists that are one, and so on: small in a pickle, not as text."""
    made = []
    for _ in range(depth):
        made = [made, made]
    return made


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (range(10**12), r'range\(0, 1000000000000\) is longer'),
        (np.empty((10**12, 0)), r'an array of shape \(1000000000000, 0\) without'),
    ],
)
def test_what_would_fill_the_memory_is_refused(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_pickle(written(tmp_path, content))


def test_a_config_without_end_is_refused(tmp_path, theirs):
    path = written(tmp_path, [record(theirs, **{'original config': nested(60)})])
    with pytest.raises(ValueError, match="'original config' is longer than any"):
        list(import_foreign(path))


class Ends:
    """Its pickle calls a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ('function', 'arguments', 'name'),
    [
        (os.system, ['touch ran'], 'posix.system'),
        (eval, ['1'], 'builtins.eval'),
        (getattr, [set, 'pop'], 'builtins.getattr'),
        (open, ['ran', 'w'], 'io.open'),
        (np.load, ['ran'], 'numpy.load'),
    ],
)
def test_a_foreign_name_is_refused_and_never_called(
    tmp_path, monkeypatch, theirs, function, arguments, name, capsys
):
    monkeypatch.chdir(tmp_path)
    bad = record(theirs, extra=Ends(function, *arguments))
    path = written(tmp_path, [record(theirs), bad])
    error = refused(capsys, 'cache', 'import', path, '--out', 'a.cache')
    assert f'names {name}, which ' in error
    assert 'nothing of it was run' in error
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_other_names_of_known_modules_are_refused(tmp_path, theirs):
    path = written(tmp_path, theirs.Trainer())
    with pytest.raises(ValueError, match=rf'names {MODULE}.Trainer'):
        read_pickle(path)
    dotted = b'\x80\x04\x8c\x08builtins\x8c\x0bset.__new__\x93.'
    with pytest.raises(ValueError, match=r'names builtins.set.__new__'):
        read_pickle(written(tmp_path, dotted))


def test_an_array_of_objects_is_refused(tmp_path):
    path = written(tmp_path, np.array([[1], None], dtype=object))
    with pytest.raises(ValueError, match='an array of type O8, not of numbers'):
        read_pickle(path)
    # An object of theirs whose attribute 'dtype' says so, in place of numpy's.
    fake = f'c{MODULE}\nNode\n)\x81}}\x8c\x05dtype\x8c\x02O8sb'.encode('latin1')
    scalar = b'\x80\x04cnumpy.core.multiarray\nscalar\n' + fake + b'C\x08' + bytes(8)
    with pytest.raises(ValueError, match='not made of numbers'):
        read_pickle(written(tmp_path, scalar + b'\x86R.'))


@pytest.mark.parametrize(
    'name',
    [
        f'{MODULE} Node',
        'numpy dtype',
        'numpy.core.multiarray _reconstruct',
        'numpy._core.multiarray scalar',
        'model_src.darts.model_darts Genotype',
        '_codecs encode',
        'builtins range',
        'builtins set',
        'collections OrderedDict',
        'collections defaultdict',
    ],
)
def test_a_pickle_cannot_change_what_stands_for_its_classes(tmp_path, name):
    start = '\x80\x04c' + name.replace(' ', '\n') + '\n'  # the class itself,
    state = '}\x8c\x0c__setstate__K\x01s'  # and as its state {'__setstate__': 1},
    for end in (f'{state}b.', f'N{state}\x86b.'):  # items or attributes to set
        content = (start + end).encode('latin1')
        with pytest.raises(ValueError, match='truncated, or not a pickle'):
            read_pickle(written(tmp_path, content))


def test_a_truncated_pickle_is_refused(tmp_path, theirs):
    whole = pickle.dumps([record(theirs)], 4)
    for length in range(0, len(whole) - 1, 37):
        with pytest.raises(ValueError, match='is truncated, or not a pickle of AIO-P'):
            read_pickle(written(tmp_path, whole[:length]))


def test_what_is_no_cache_of_theirs_is_named(tmp_path, theirs):
    with pytest.raises(FileNotFoundError, match='no pickle'):
        list(import_foreign(tmp_path / 'none.pkl'))
    cyclic = record(theirs)
    cyclic['compute graph'].edge_pairs.append((1, 0))
    cases = [
        ({'a': 1}, 'holds no list of networks, but one dict'),
        ([{'acc': 1}], "network 0 is not one .*KeyError: 'compute graph'"),
        ([{'compute graph': 3}], "network 0: its 'compute graph' is one int"),
        ([record(theirs, acc=75.0)], "its 'acc' is 75, not a share of 1"),
        ([record(theirs), record(theirs)], "there are two networks 'OFA-MBV3-Net7'"),
        ([cyclic], r"network 0: graph: node 0 \('net/conv2d'\) is part of a cycle"),
    ]
    for content, message in cases:
        with pytest.raises(ValueError, match=message):
            list(import_foreign(written(tmp_path, content)))
