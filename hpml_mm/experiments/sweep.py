# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Compare configs by alternating runs, so that drift affects all of them alike."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpml_mm.config.arguments import add_config_arguments
from hpml_mm.config.overrides import load_config
from hpml_mm.utils.stats import mean_std, quartiles, turns

from .executors import Ended, Executor, run_all
from .jobs import Job
from .records import config_digest
from .rows import ResultRow, result_row
from .runs import Summary, check_same_environment, metric_of

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

    def job(self, folder: Path, iters: int | None = None) -> Job:
        """Training of this run; with ``iters``, for so many batches only.

        Args:
            folder: That of the sweep.
            iters: Batches of a trial of speed.
        """
        options = list(self.variant.options)
        words = [self.variant.config]
        if iters is not None:
            limit = 'train_dataloader.batch_sampler'
            options += [f'{limit}.type=hpml_mm.LimitedBatchSampler']
            options += [f'{limit}.num_batches={iters}']
            options += ['train_cfg.max_epochs=1', *_NO_EXTRAS]
            words.append('--cut-short')
        if options:
            words += ['--cfg-options', *options]
        if self.seeded:
            words += ['--seed', str(self.number)]
        # A half-done training of a seed goes on; a half-done timing starts again.
        resumes = self.seeded and iters is None
        return Job(folder / self.name, tuple(words), resumes)


def alternate(
    variants: Sequence[Variant], numbers: Sequence[int], seeded: bool
) -> Iterator[Run]:
    """Order all runs: every variant once, then backwards."""
    for number, order in zip(numbers, turns(variants, len(numbers)), strict=True):
        for variant in order:
            yield Run(variant, number, seeded)


def check_variants(
    variants: Sequence[Variant], remedy: str = 'give one of them KEY=VALUE'
) -> None:
    """Check the config of every variant before the first of them trains.

    Args:
        variants: At least one.
        remedy: What to do about two that are the same.

    Raises:
        ValueError: If a label or a config comes twice, or a config is wrong.
    """
    labels = [variant.label for variant in variants]
    if len(set(labels)) < len(labels):
        raise ValueError(f'two variants of one label: {" ".join(labels)}')
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
                f'{seen[digest]} and {variant.label} are the same config: {remedy}'
            )
        seen[digest] = variant.label


def train_all(
    runs: Sequence[Run], folder: Path, executor: Executor, iters: int | None = None
) -> Iterator[tuple[Run, Ended]]:
    """Train all that have not finished; the jobs are those of :meth:`Run.job`.

    Yields:
        Each run and its end, as they end.

    Raises:
        ValueError: If a directory holds a run of other arguments or another config.
    """
    of_job = {run.job(folder, iters): run for run in runs}
    for end in run_all(list(of_job), executor):
        yield of_job[end.job], end


def summary_of(run: Run, end: Ended) -> Summary:
    """Summary of a run that has finished.

    Raises:
        RuntimeError: If it has failed.
    """
    if end.summary is None:
        raise RuntimeError(f'{run.name} failed: {end.reason}; see {end.job.log}')
    return end.summary


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
    leaves: Mapping[str, str] | None = None,
) -> list[ResultRow]:
    """One row for each variant and metric (see :func:`~.runs.metric_of`).

    Repeats have a median and its IQR, seeds a mean and its standard deviation. All are
    compared with the variant labelled ``baseline``; a row keeps the part of ``argv``
    that gives it again, see :func:`argv_for`.

    Raises:
        ValueError: If the runs are not comparable, or one does not know a metric.
    """
    check_same(done)
    summaries: dict[str, list[Summary]] = {}
    # Side by side they end in any order, and values are compared pair by pair.
    for run, summary in sorted(done, key=lambda one: one[0].number):
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
                argv=argv_for(argv, (label, baseline), leaves),
                baseline=found[baseline][0] if baseline else None,
            )
            for label, centre in found.items()
        ]
    return rows


def argv_for(
    argv: Sequence[str],
    labels: Sequence[str | None],
    leaves: Mapping[str, str] | None = None,
) -> list[str]:
    """``sys.argv`` of a comparison with the variants of some labels only.

    Args:
        argv: All words.
        labels: Those that stay.
        leaves: Label of each word that is a config by itself, not behind --variant.
    """
    words, stays = [], True
    of_word = leaves or {}
    for index, word in enumerate(argv):
        if word.startswith('--'):
            stays = word != '--variant' or argv[index + 1] in labels
        if stays and of_word.get(word, labels[0]) in labels:
            words.append(word)
    return words
