# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A small report with all kinds of content."""

from hpml_mm.report.content import (
    BandPoint,
    Confusion,
    Environment,
    GroupData,
    Int8Data,
    Panel,
    PanelPoint,
    Picture,
    Point,
    Prediction,
    PredictionsData,
    Problem,
    Repetition,
    ReportData,
    RowData,
    RunData,
    Score,
    Series,
    StudyData,
    TableData,
    Training,
    TrialData,
)

#: A name that must stay text.
HOSTILE = '<script>alert(1)</script>'
_PIXEL = (
    'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42m'
    'NkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=='
)
_STATUSES = ('finished', 'finished', 'failed', 'finished', 'running', 'pruned')
_EPOCHS = 4
_SOURCE = (
    '`hpml benchmark toy.py`, commit 0123abc, AMD EPYC, PyTorch 2.12.1, 2026-11-22'
)


def sample_report() -> ReportData:
    """Six runs of two configs, one of them failed, one running, one pruned."""
    runs = tuple(_run(number) for number in range(6))
    return ReportData(
        title='Sample',
        made='2026-11-29T16:00:00+00:00',
        command='hpml report work_dirs/sample --out build/report',
        runs=runs,
        groups=tuple(_group(runs, index) for index in range(2)),
        rows=_rows(),
        panels=_panels(),
        int8=(_int8(),),
        predictions=(_predictions(),),
        tables=(
            TableData(
                'Cats beside their source',
                ('experiment', 'config', 'source, last / best', 'ours, last / best'),
                (('e01', 'td-hm_res50', '.41 / .43', '0.412 ± 0.003 (n=3) / -'),),
                'coco/AP of the last and the best validation',
            ),
        ),
        studies=(_study(),),
        problems=(
            Problem('results/bad.csv:3', 'n counts runs, from 1: 0'),
            Problem(f'work_dirs/{HOSTILE}/summary.json', 'line 1: not JSON'),
        ),
        notes=('1 run goes on; its numbers are those of its last validation.',),
    )


def _run(number: int) -> RunData:
    group, seed = divmod(number, 3)
    status = _STATUSES[number]
    done = _EPOCHS if status == 'finished' else 2
    curve = [
        Point(50 * e, e, 3200 * e, 1.5 * e, 20.0 * e**0.5 + 3 * group + seed)
        for e in range(1, done + 1)
    ]
    loss = [
        Point(10 * i, i / 5, 640 * i, 0.3 * i, 2 / (i + group))
        for i in range(1, 5 * done + 1)
    ]
    return RunData(
        id=number,
        name=HOSTILE if number == 5 else f'{"ab"[group]}/seed{seed}',
        place=f'work_dirs/sample/{"ab"[group]}/seed{seed}',
        group=group,
        status=status,
        reason='RuntimeError: out of memory' if status == 'failed' else None,
        seed=seed,
        config={
            'train_cfg.max_epochs': str(_EPOCHS),
            'model.type': 'ToyClassifier',
            'optim_wrapper.optimizer.lr': ('0.1', '0.01')[group],
            **({'optim_wrapper.clip_grad.max_norm': '1'} if group else {}),
        },
        config_file=f'configs/{"ab"[group]}.py',
        metrics={'accuracy/top1': curve[-1].value, 'recall/Happy': None},
        best={'accuracy/top1': curve[-1].value},
        measurements={
            'throughput(img/s)': 2000.0 + 10 * number,
            'step_time/median(ms)': 30.0,
            'step_time/p95(ms)': 41.0,
            'step_time/n': 200,
            'data_wait(%)': 3.5,
            'memory/peak(GiB)': 1.25,
            'step/precision': 'bf16',
            'device_idle(%)': None,
            'verdict': 'limited by the step',
        },
        train=Training(done, 50 * done, 3200, 3200 * done, 1.5 * done, _EPOCHS, None),
        environment=Environment(
            '0123abc', False, 'AMD EPYC', '2.12.1', 1, '2026-11-22T10:00:00+00:00'
        ),
        command=f'hpml train configs/{"ab"[group]}.py --seed {seed}',
        curves={'accuracy/top1': curve, 'train/loss': loss},
        confusion=(
            Confusion(
                'PublicTest',
                ('Angry', 'Happy', 'Sad'),
                ((5, 1, 2), (0, 9, 1), (3, 0, 4)),
            ),
        )
        if number == 0
        else (),
        keypoints={'PCK@0.2': {'L_Eye': 0.91, 'Nose': 0.95, 'Tail': 0.4}}
        if number == 3
        else {},
        pictures=(Picture('pose_worst', 'step 200', _PIXEL),) if number == 3 else (),
        source=('summary', 'scalars') if status != 'running' else ('scalars',),
    )


def _group(runs: tuple[RunData, ...], index: int) -> GroupData:
    ids = tuple(run.id for run in runs if run.group == index)
    finished = [r for r in runs if r.group == index and r.status == 'finished']
    values = [run.metrics['accuracy/top1'] for run in finished]
    mean, n = sum(values) / len(values), len(values)
    std = 0.7 if n > 1 else None
    band = [
        BandPoint(50 * e, e, 3200 * e, 1.5 * e, 20.0 * e**0.5 + 3 * index + 1, 1.0, 3)
        for e in (1, 2, 3, 4)
    ]
    return GroupData(
        name='ab'[index],
        runs=ids,
        scores={'accuracy/top1': Score(mean, std, n, True)},
        bands={'accuracy/top1': band},
        marks=(f'{n} seeds are few: a mean of fewer than 5 says little',),
    )


def _rows() -> tuple[RowData, ...]:
    found = []
    values = ((0, 15.1), (1, 14.6), (2, 16.2))
    for number, (workers, value) in enumerate(values):
        found.append(
            RowData(
                f'toy-input/workers{workers}',
                'throughput(img/s)',
                'img/s',
                value,
                1.2,
                5,
                15.1,
                'hpml sweep --name toy-input',
                '0123abc+dirty',
                'AMD EPYC',
                '2.12.1',
                '2026-11-22',
                number,
                'results/toy.csv',
                number + 2,
            )
        )
    return tuple(found)


def _point(x: float | str, value: float, half: float = 0.5) -> PanelPoint:
    return PanelPoint(x, value, value - half, value + half, 3, _SOURCE, rows=(0,))


def _panels() -> tuple[Panel, ...]:
    points = tuple(_point(x, v) for x, v in ((0, 15.1), (1, 14.6), (2, 16.2)))
    return (
        Panel(
            'workers',
            'toy-input: images/s over workers',
            'workers of the loader',
            'throughput (img/s)',
            (Series('toy-input', points),),
            finding='best with 2 workers; not told apart from 0',
            marks=('values of 2 machines are compared: AMD EPYC, NVIDIA H200',),
        ),
        Panel(
            'efficiency',
            'toy-scaling: efficiency over processes',
            'processes',
            'efficiency (%)',
            (Series('8 a process', (_point(1, 100), _point(2, 89.2))),),
            ideal=((1, 100), (2, 100)),
        ),
        Panel(
            'precision',
            'images/s by precision',
            'precision',
            'throughput (img/s)',
            (Series('toy', (_point('fp32', 14.2), _point('bf16', 18.3))),),
            style='bar',
        ),
    )


def _int8() -> Int8Data:
    return Int8Data(
        model='toy',
        engine='ptq-onnxruntime',
        metric='PublicTest/accuracy/top1',
        unit='%',
        before=42.49,
        after=42.18,
        drop=0.31,
        low=-0.1,
        high=0.7,
        samples=3589,
        size=6.1,
        size_before=15.3,
        latency={'batch 1': 0.63},
        latency_before={'batch 1': 0.74},
        speedup={'batch 1, eager': 10.4},
        rows=(0, 1),
        source=_SOURCE,
    )


def _predictions() -> PredictionsData:
    points = [
        Prediction(f'net{i}', 70 + i, 0.5, 70.3 + 0.9 * i + 0.2 * (i % 2))
        for i in range(8)
    ]
    return PredictionsData(
        'toy networks', 'work_dirs/nas.csv', '%', points, 8, 1.0, 0.31
    )


def _study() -> StudyData:
    trials = (
        TrialData(
            0, 'complete', (51.0,), {'lr': '0.1'}, False, None, 12.0, (4, 51.0), 0
        ),
        TrialData(1, 'pruned', (), {'lr': '0.5'}, True, None, 4.0, (2, 14.2)),
        TrialData(2, 'failed', (), {'lr': '9'}, None, 'loss is NaN', 1.0),
        TrialData(3, 'running', (), {'lr': '0.02'}),
    )
    return StudyData(
        name='search',
        place='work_dirs/search/journal.log',
        metrics=('accuracy/top1',),
        directions=('maximize',),
        settings={'sampler': 'tpe', 'pruner': 'median', 'share': '0.1'},
        trials=trials,
        best=(0,),
        repetitions=(
            Repetition(
                'base', None, None, (50.0, 50.4), 50.2, 0.28, 2, True, None, None
            ),
            Repetition(
                'best1',
                0,
                51.0,
                (50.9, 50.1),
                50.5,
                0.57,
                2,
                True,
                (0.3, -5.2, 5.8),
                0.6,
            ),
        ),
        repeated_metric='accuracy/top1',
        verdict='not told apart from the config: +0.3 [-5.2, +5.8], p 0.6, 2 seeds',
        command='hpml train work_dirs/search/best/best1.py',
        figures={
            'history': {
                'data': [{'type': 'scatter', 'x': [0], 'y': [51.0], 'mode': 'markers'}],
                'layout': {'title': {'text': 'history'}},
            }
        },
        missing_figures={'importances': 'fewer than 2 trials have finished'},
    )
