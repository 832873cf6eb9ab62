# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Give weights of strangers to every entrance: does anything of them run?"""

import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import mmengine.infer.infer
import mmengine.runner.checkpoint
import torch

#: As they are before this project mends them.
STOCK = {
    (mmengine.runner.checkpoint, name): getattr(mmengine.runner.checkpoint, name)
    for name in ('_safe_torch_load', 'load_url')
} | {(mmengine.infer.infer, 'Config'): mmengine.infer.infer.Config}

sys.path.insert(1, str(Path(__file__).parents[1]))

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from demo_runs import DEMO, FACES  # noqa: E402
from harness import fork, toy_runner, wait  # noqa: E402
from hostile_payloads import CASES, Case  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.infer import BaseInferencer  # noqa: E402
from mmengine.runner import load_checkpoint  # noqa: E402
from outcomes import Outcome, main  # noqa: E402
from toy_tools import call_tool  # noqa: E402

from hpml_mm.config.command.errors import clear_errors  # noqa: E402
from hpml_mm.predictor.graphs.foreign import import_foreign  # noqa: E402
from hpml_mm.predictor.predictor_file import load_score_predictor  # noqa: E402
from hpml_mm.predictor.spaces.supernet import read_supernet  # noqa: E402

PROMISE = 'hostile weights: nothing runs, and what is refused is one line'
#: Numbers of a case and an entrance: each entrance once, with another case.
QUICK = {(2 * turn, turn) for turn in range(9)}
OPTIONS = [
    '--cfg-options',
    'train_cfg.max_epochs=1',
    *(
        f'{split}_dataloader.{setting}'
        for split, count in FACES.items()
        for setting in (
            f'dataset.num_per_class={count}',
            'num_workers=0',
            'persistent_workers=False',
        )
    ),
]


def train(path: Path, *words: object) -> None:
    options = [*OPTIONS, *(word for word in words if '=' in str(word))]
    flags = [word for word in words if '=' not in str(word)]
    call('train.py', DEMO, '--work-dir', 'run', '--cut-short', *flags, *options)


def resume_itself(path: Path) -> None:
    Path('run').mkdir()
    shutil.copy(path, 'run/epoch_1.pth')
    Path('run/last_checkpoint').write_text(os.path.abspath('run/epoch_1.pth'))
    train(path, '--resume')


def predict(path: Path) -> None:
    cv2.imwrite('face.png', np.zeros((48, 48), np.uint8))
    call('predict', path, 'face.png')


def quantize(path: Path) -> None:
    limits = ('--max-drop', 'none', '--latency-seconds', 0)
    call('quantize', DEMO, path, *limits, '--out', 'out', *OPTIONS)


def imports(path: Path) -> None:
    """Read the file as a cache of AIO-P, a predictor and a supernet."""
    ended = []
    for read in (read_cache, load_score_predictor, read_supernet):
        said, code = io.StringIO(), 0
        with contextlib.redirect_stderr(said):
            try:
                with clear_errors():
                    read(path)
            except SystemExit as end:
                code = end.code
        ended.append([code, said.getvalue()])
    Path('ended.json').write_text(json.dumps(ended))


def read_cache(path: Path) -> None:
    list(import_foreign(path))


ENTRANCES: dict[str, Callable[[Path], None]] = {
    '--resume': lambda path: train(path, '--resume', path),
    'auto': resume_itself,
    'load_from': lambda path: train(path, f'load_from={path}'),
    'init_cfg': lambda path: train(
        path,
        'model.backbone.init_cfg.type=Pretrained',
        f'model.backbone.init_cfg.checkpoint={path}',
        'model.backbone.init_cfg.prefix=backbone.',
    ),
    'test': lambda path: call(
        'test.py', DEMO, path, '--work-dir', 'run', *OPTIONS[:1], *OPTIONS[2:]
    ),
    'predict': predict,
    'quantize': quantize,
    'export': lambda path: call(
        'export', DEMO, path, '--out', 'out.safetensors', *OPTIONS
    ),
    'imports': imports,
}


def stock_resume(path: Path) -> None:
    toy_runner(
        Path('run'), dict(type='mmengine.CheckpointHook'), load_from=path, resume=True
    ).train()


STOCK_ENTRANCES: dict[str, Callable[[Path], object]] = {
    '--resume': lambda path: stock_resume(str(path)),
    'load_from': lambda path: load_checkpoint(torch.nn.Linear(1, 1), str(path)),
    'predict': lambda path: BaseInferencer._init_model(None, Config(), str(path)),
}


def call(tool: str, *words: object) -> None:
    """Run a tool of this project, and leave how it ended in a file."""
    done = call_tool(tool, *words, cwd=Path.cwd())
    Path('ended.json').write_text(json.dumps([[done.returncode, done.stderr]]))


def without_mends(entrance: Callable[[Path], object], path: Path) -> None:
    for (module, name), value in STOCK.items():
        setattr(module, name, value)
    entrance(path)


def attempt(
    enter: Callable[[Path], object],
    case: Case,
    good: dict,
    refused: Sequence[bool] = (),
) -> str | None:
    """Enter with a file, in a child; return what went wrong."""
    folder = Path(tempfile.mkdtemp(prefix='hostile-'))
    marker = folder / 'ran'

    def work() -> None:
        os.chdir(folder)
        with Path('said').open('w') as said, Path(os.devnull).open('w') as nowhere:
            os.dup2(said.fileno(), 2)
            os.dup2(nowhere.fileno(), 1)
        enter(folder / case.name)

    try:
        case.write(folder / case.name, good, marker)
        wait(fork(work))
        if marker.exists():
            return 'it ran'
        if not refused:
            return None
        if not (folder / 'ended.json').exists():
            return (folder / 'said').read_text()[-200:] or 'it vanished'
        ended = json.loads((folder / 'ended.json').read_text())
        wrong = [how_it_ended(*e, r) for e, r in zip(ended, refused, strict=True)]
        return next(filter(None, wrong), None)
    finally:
        shutil.rmtree(folder)


def how_it_ended(code: int, said: str, refused: bool) -> str | None:
    """Return what is wrong with an ending: success, or one clear line."""
    errors = [line for line in said.splitlines() if line.startswith('error')]
    if code == 0:
        return 'taken' if refused else None
    if not refused or code != 2 or len(errors) != 1 or 'Traceback' in said:
        return f'exit {code}: {said[-200:]!r}'
    return None


def trained() -> dict:
    """Content of a checkpoint of the demo, after one epoch."""
    folder = Path(tempfile.mkdtemp(prefix='hostile-'))
    try:
        words = (DEMO, '--work-dir', 'run', '--cut-short', *OPTIONS)
        done = call_tool('train.py', *words, cwd=folder)
        assert done.returncode == 0, done.stderr[-2000:]
        return torch.load(folder / 'run/epoch_1.pth', weights_only=False)
    finally:
        shutil.rmtree(folder)


def run(quick: bool) -> list[Outcome]:
    """Give each case to each entrance; to MMEngine's own for comparison."""
    good = trained()
    ours, stock = Outcome(PROMISE, 'hpml_mm'), Outcome(PROMISE, 'stock')
    for number, case in enumerate(CASES):
        for turn, (name, enter) in enumerate(ENTRANCES.items()):
            if not quick or (number, turn) in QUICK:
                refused = case.refused_by(name)
                error = attempt(enter, case, good, refused)
                ours.add(f'{case.name} by {name}', error)
        for name, enter in STOCK_ENTRANCES.items():
            if not quick:
                error = attempt(partial(without_mends, enter), case, good)
                stock.add(f'{case.name} by {name}', error)
    return [ours] if quick else [ours, stock]


if __name__ == '__main__':
    main(run)
