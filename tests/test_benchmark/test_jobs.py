# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest

from hpml_mm.benchmark.jobs import Job, Side, read_job, sides_of

CONFIG = 'configs/fer/fast.py'


def sides(mode, against=None, options=None, against_options=None):
    return sides_of(mode, CONFIG, options or {}, against, against_options or {})


def test_a_job_survives_its_file(tmp_path):
    side = Side('fast', 'config', CONFIG, {'a.b': [1, 2], 'c': None})
    job = Job('train', side, 'w', loop=True, batch_size=4, threads=2)
    job.write(tmp_path / 'job.json')
    assert read_job(tmp_path / 'job.json') == job


def test_stock_takes_the_options_unless_it_has_its_own_or_is_another_config():
    assert sides('data') == [Side('fast', 'config', CONFIG)]
    assert sides('train', 'stock', {'a': 1})[1] == (
        Side('stock', 'stock', CONFIG, {'a': 1})
    )
    assert sides('train', 'stock', {'a': 1}, {'b': 2})[1].options == {'b': 2}
    other = sides('data', 'stock:configs/fer/slow.py', {'a': 1})[1]
    assert other == Side('stock', 'stock', 'configs/fer/slow.py', elsewhere=True)


def test_another_config_takes_its_own_options_only():
    other = sides('train', 'configs/fer/slow.py', {'a': 1}, {'b': 2})[1]
    assert other == Side('slow', 'config', 'configs/fer/slow.py', {'b': 2})
    assert [s.label for s in sides('infer', CONFIG)] == ['fast', 'fast-2']
    (side,) = sides_of('train', 'mmpretrain::resnet/resnet18.py', {}, None, {})
    assert side.label == 'resnet18'


def test_another_pipeline_is_a_function_and_for_data():
    other = sides('data', 'projects.fer_input.loaders:hpml_2023', {'a': 1})[1]
    assert (other.label, other.config, other.options) == ('hpml-2023', CONFIG, {'a': 1})
    assert other.kind == 'projects.fer_input.loaders:hpml_2023'
    with pytest.raises(ValueError, match='--against a.b:c .* use it with "data"'):
        sides('train', 'a.b:c')
    with pytest.raises(ValueError, match='without --against-options'):
        sides('data', 'a.b:c', against_options={'a': 1})


def test_the_engine_has_four_sides_of_its_own():
    kinds = [side.kind for side in sides('engine')]
    assert kinds == ['config', 'stock', 'none', 'plain']
    with pytest.raises(ValueError, match='leave --against out'):
        sides('engine', 'configs/fer/slow.py')
