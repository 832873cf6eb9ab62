# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The table of docs/quantization.md says what the rows say."""

from pathlib import Path

import pytest

from hpml_mm.experiments.rows import read_results

ROOT = Path(__file__).parents[2]
JUDGED = {
    'mini-xception': 'MiniXception, PTQ',
    'mini-xception-qat': 'MiniXception, QAT of 3 epochs',
    'mini-xception-dynamic': 'MiniXception, dynamic',
    'efficientnet-b0': 'EfficientNet-B0 at 48 px, PTQ',
    'efficientnet-b0-minmax': 'EfficientNet-B0, PTQ, minimum and maximum',
    'efficientnet-b0-naive': 'EfficientNet-B0, PTQ, all care left out',
    'mobilenet-v2-cats': 'MobileNetV2, cats, PTQ',
}
TIMED = {
    'resnet50': 'ResNet-50, 256x256, random weights',
    'resnet50-openvino': 'ResNet-50 by OpenVINO',
    'hrnet-w32': 'HRNet-W32, 256x192, random weights',
    'hrnet-w32-openvino': 'HRNet-W32 by OpenVINO',
}


def int8_values(name: str) -> dict[str, float]:
    """The INT8 engine's values by metric; scores without their split."""
    rows = read_results(ROOT / 'results' / f'int8-{name}.csv')
    values = {r.metric: r for r in rows if '/int8-' in r.experiment}
    found = {m.removeprefix('PublicTest/'): r.value for m, r in values.items()}
    base = [r for m, r in values.items() if m.endswith(('accuracy/top1', 'coco/AP'))]
    return found | ({'before': base[0].baseline} if base else {})


def line(name: str, title: str) -> str:
    """A line of the table."""
    found = int8_values(name)
    layers = found['layers/int8'], found['layers/int8'] + found['layers/fp32']
    cells = [f'{layers[0]:.0f} of {layers[1]:.0f}']
    score = next((m for m in ('accuracy/top1', 'coco/AP') if m in found), None)
    if score:
        low, high = (
            -found[f'{score}/drop_high(points)'],
            -found[f'{score}/drop_low(points)'],
        )
        digits = '.2f' if score == 'accuracy/top1' else '.4f'
        cells += [f'{found["before"]:{digits}} -> {found[score]:{digits}}']
        cells += [f'{-found[f"{score}/drop(points)"]:+.2f} [{low:+.2f}, {high:+.2f}]']
    else:
        cells += [f'SQNR {found["output_sqnr(dB)"]:.1f} dB', '']
    for against in ('same_engine', 'eager'):
        gain = found.get(f'speedup/batch1/{against}(x)')
        cells.append('' if gain is None else f'{gain:.2f}x')
    return f'| {title} | {" | ".join(cells)} |'


@pytest.mark.parametrize(('name', 'title'), (JUDGED | TIMED).items())
def test_the_document_shows_the_rows(name, title):
    text = (ROOT / 'docs' / 'quantization.md').read_text(encoding='utf-8')
    assert line(name, title) in text.splitlines()


def test_the_call_of_light_fer_is_on_record():
    assert int8_values('mini-xception-light-fer') == {
        'layers/int8': 0,
        'layers/fp32': 23,
    }
