# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The files of one quantization. What lies in one folder is of one run."""

from pathlib import Path

FP32_FILE = 'model_fp32.onnx'
REPORT_FILE = 'report.json'
ROWS_FILE = 'rows.csv'
_INT8 = 'model_int8'
_SUFFIXES = {'onnxruntime': ('.onnx',), 'openvino': ('.xml', '.bin')}


def int8_file(out: Path, backend: str) -> Path | None:
    """Where the INT8 model of a backend goes; None where it has no file."""
    suffixes = _SUFFIXES.get(backend)
    return None if suffixes is None else out / f'{_INT8}{suffixes[0]}'


def remove_earlier(out: Path, backend: str | None) -> list[str]:
    """Delete what an earlier run left and this one does not write.

    Args:
        out: Folder; it need not be there.
        backend: Of this run; None where it leaves no model, and no report of one.

    Returns:
        Names of the files that were there.
    """
    known = [f'{_INT8}{suffix}' for each in _SUFFIXES.values() for suffix in each]
    own: list[str] = []
    if backend is not None:
        own = [REPORT_FILE, *(f'{_INT8}{one}' for one in _SUFFIXES.get(backend, ()))]
        own += [FP32_FILE] if backend in _SUFFIXES else []
    stale = [
        name
        for name in (*known, FP32_FILE, REPORT_FILE)
        if name not in own and (out / name).exists()
    ]
    for name in stale:
        (out / name).unlink()
    return stale
