# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import platform
import warnings

import pytest

from hpml_mm.quantization.backends.cpu_features import (
    has_vnni,
    needs_reduced_range,
)


@pytest.fixture
def cpuinfo(tmp_path, monkeypatch):
    monkeypatch.setattr(platform, 'machine', lambda: 'x86_64')

    def write(flags):
        path = tmp_path / 'cpuinfo'
        path.write_text(f'processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: none\n')
        return path

    return write


@pytest.mark.parametrize('flag', ['avx512_vnni', 'avx_vnni', 'amx_int8'])
def test_a_cpu_with_vnni_uses_all_bits(cpuinfo, flag):
    path = cpuinfo(f'fpu avx2 {flag} sse')
    assert has_vnni(path) is True
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert not needs_reduced_range(path)


def test_a_cpu_without_gets_a_warning_and_seven_bits(cpuinfo):
    path = cpuinfo('fpu avx2 sse')
    assert has_vnni(path) is False
    with pytest.warns(UserWarning, match='no VNNI: weights get 7 bits'):
        assert needs_reduced_range(path)


def test_where_it_cannot_be_known_nothing_is_said(cpuinfo, monkeypatch, tmp_path):
    assert has_vnni(tmp_path / 'missing') is None
    path = cpuinfo('fpu')
    monkeypatch.setattr(platform, 'machine', lambda: 'aarch64')
    assert has_vnni(path) is None
    assert not needs_reduced_range(path)
