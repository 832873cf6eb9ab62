# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Compare configs by alternating runs, so that drift affects all of them alike."""

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpml_mm.config.arguments import add_config_arguments
from hpml_mm.config.overrides import apply_options, load_config, read_config
from hpml_mm.utils.files import to_strict, write_atomic
from hpml_mm.utils.stats import mean_std, quartiles, turns
from hpml_mm.utils.text_file import read_json

from .rows import ResultRow, result_row
from .runs import Summary, check_same_environment, finished_summary, metric_of

# A speed run needs neither validation nor checkpoints.
_NO_EXTRAS = (
    'val_cfg=None',
    'val_dataloader=None',
    'val_evaluator=None',
    'default_hooks.checkpoint=None',
)


@dataclass(frozen=True)
class Variant:
    """Config with overrides (``KEY=VALUE``), and its name in the results."""

    label: str
    config: str
    options: tuple[str, ...] = ()

    @classmethod
    def parse(
        cls, words: Sequence[str], shared: Mapping[str, Any] | None = None
    ) -> 'Variant':
        """Read ``LABEL CONFIG [KEY=VALUE ...]``; its overrides come after shared ones.

        Raises:
            ValueError: If it has another form.
        """
        if len(words) < 2 or any('=' not in option for option in words[2:]):
            raise ValueError(
                f'--variant {" ".join(words)}: write LABEL CONFIG [KEY=VALUE ...]'
            )
        if '/' in words[0]:
            raise ValueError(f'--variant {words[0]}: a label holds no "/"')
        common = (f'{key}={value}' for key, value in (shared or {}).items())
        return cls(words[0], words[1], (*common, *words[2:]))


@dataclass(frozen=True)
class Run:
    """One training of a variant.

    Attributes:
        variant: Variant to train.
        number: Repeat, from 0, or the seed.
        seeded: True if ``number`` is a seed.
    """

    variant: Variant
    number: int
    seeded: bool

    @property
    def name(self) -> str:
        """Place of the run below the sweep's directory."""
        kind = 'seed' if self.seeded else 'run'
        return f'{self.variant.label}/{kind}{self.number}'

    def arguments(self, work_dir: Path, iters: int | None = None) -> list[str]:
        """Arguments of ``hpml train``; with ``iters``, for so many batches only."""
        options = list(self.variant.options)
        if iters is not None:
            limit = 'train_dataloader.batch_sampler'
            options += [f'{limit}.type=hpml_mm.LimitedBatchSampler']
            options += [f'{limit}.num_batches={iters}']
            options += ['train_cfg.max_epochs=1', *_NO_EXTRAS]
        words = [self.variant.config, '--work-dir', str(work_dir)]
        if iters is not None:
            words.append('--cut-short')
        if options:
            words += ['--cfg-options', *options]
        if self.seeded:
            words += ['--seed', str(self.number)]
        return words


def alternate(
    variants: Sequence[Variant], numbers: Sequence[int], seeded: bool
) -> Iterator[Run]:
    """Order all runs: every variant once, then backwards."""
    for number, order in zip(numbers, turns(variants, len(numbers)), strict=True):
        for variant in order:
            yield Run(variant, number, seeded)


def config_digest(arguments: Sequence[str]) -> str:
    """Digest of the config that ``hpml train`` would read now.

    The seed and the work directory do not count.

    Raises:
        FileNotFoundError: If there is no such config.
        ValueError: If it cannot be read, or an option cannot take effect.
    """
    parser = argparse.ArgumentParser()
    add_config_arguments(parser)
    args, _ = parser.parse_known_args(arguments)
    cfg = read_config(args.config)
    apply_options(cfg, args.cfg_options)
    text = json.dumps(to_strict(cfg.to_dict()), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def check_variants(variants: Sequence[Variant]) -> None:
    """Check the config of every variant before the first of them trains.

    Raises:
        ValueError: If one is wrong, or two are the same.
    """
    seen: dict[str, str] = {}
    for variant in variants:
        parser = argparse.ArgumentParser()
        add_config_arguments(parser)
        words = ['--cfg-options', *variant.options] if variant.options else []
        args = parser.parse_args([variant.config, *words])
        load_config(args.config, args.cfg_options)
        digest = config_digest([variant.config, *words])
        if digest in seen:
            raise ValueError(
                f'--variant {seen[digest]} and {variant.label} are the same config: '
                'give one of them KEY=VALUE'
            )
        seen[digest] = variant.label


def run_once(run: Run, directory: Path, iters: int | None = None) -> Summary:
    """Train in a separate process, unless the same run is finished already.

    Beside the directory go its log, and its arguments with the digest of its config.

    Returns:
        The run's summary.

    Raises:
        ValueError: If the directory holds a run of other arguments or another config.
        RuntimeError: If training fails.
    """
    arguments = run.arguments(directory, iters)
    record = directory.with_name(f'{directory.name}.json')
    wanted = {'arguments': arguments, 'config': config_digest(arguments)}
    if record.is_file() and (held := read_json(record)) != wanted:
        same = isinstance(held, dict) and held.get('arguments') == arguments
        raise ValueError(
            f'{directory} holds a run with '
            f'{"another content of its config" if same else "other arguments"}: '
            f'choose another --name, or delete {directory} and {record}'
        )
    done = finished_summary(directory / 'summary.json') if record.is_file() else None
    if done:
        return done
    directory.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(record, json.dumps(wanted))
    # A half-done training of a seed goes on; a half-done timing starts again.
    how = '--resume' if run.seeded and iters is None else '--overwrite'
    log = directory.with_name(f'{directory.name}.log')
    with log.open('w') as file:
        command = [sys.executable, '-m', 'hpml_mm.cli', 'train', *arguments, how]
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT).returncode
    summary = finished_summary(directory / 'summary.json')
    if code or summary is None:
        last = log.read_text().strip().splitlines()[-1:]
        raise RuntimeError(f'{run.name} failed ({code}): {"".join(last)}; see {log}')
    return summary


def check_same(done: Sequence[tuple[Run, Summary]]) -> None:
    """Refuse to continue a sweep on different code, PyTorch or devices.

    Raises:
        ValueError: If a run differs from the first one; it names those that do.
    """
    check_same_environment(
        {run.name: summary['environment'] for run, summary in done},
        'delete those of one kind and run them again, or choose another --name',
    )


def sweep_rows(
    name: str,
    done: Sequence[tuple[Run, Summary]],
    metrics: Sequence[str],
    *,
    baseline: str | None,
    argv: Sequence[str],
) -> list[ResultRow]:
    """One row for each variant and metric (see :func:`~.runs.metric_of`).

    Repeats have a median and its IQR, seeds a mean and its standard deviation. All are
    compared with the variant labelled ``baseline``; a row keeps the part of ``argv``
    that gives it again.

    Raises:
        ValueError: If the runs are not comparable, or one does not know a metric.
    """
    check_same(done)
    summaries: dict[str, list[Summary]] = {}
    for run, summary in done:
        summaries.setdefault(run.variant.label, []).append(summary)
    rows = []
    for metric in metrics:
        values = {
            label: [metric_of(summary, metric) for summary in held]
            for label, held in summaries.items()
        }
        found = {
            label: mean_std(held) if done[0][0].seeded else quartiles(held).median_iqr
            for label, held in values.items()
        }
        rows += [
            result_row(
                f'{name}/{label}',
                metric,
                centre,
                len(summaries[label]),
                environment=summaries[label][-1]['environment'],
                argv=argv_for(argv, (label, baseline)),
                baseline=found[baseline][0] if baseline else None,
            )
            for label, centre in found.items()
        ]
    return rows


def argv_for(argv: Sequence[str], labels: Sequence[str | None]) -> list[str]:
    """``sys.argv`` of a sweep with the variants of some labels only."""
    words, stays = [], True
    for index, word in enumerate(argv):
        if word.startswith('--'):
            stays = word != '--variant' or argv[index + 1] in labels
        if stays:
            words.append(word)
    return words
