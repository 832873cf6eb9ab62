# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Base of the hooks that quantize."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

if TYPE_CHECKING:
    from mmengine.model import BaseModel

    from hpml_mm.quantization.report import QuantizationReport


class QuantizationHook(Hook):
    """Base of hooks that quantize when training ends.

    Subclasses set ``method`` and call :meth:`quantize`. Mistakes are refused before the
    first step.

    Args:
        settings: Fields of :class:`hpml_mm.quantization.settings.QuantizationSettings`.
        out: Folder for the files; ``<work_dir>/quantized`` where None.

    Raises:
        ValueError: If the settings contradict the hook or each other.
    """

    method: str

    def __init__(
        self, settings: Mapping[str, Any] | None = None, out: str | None = None
    ) -> None:
        # Here, because it imports mmpretrain, which other hooks do without.
        from hpml_mm.quantization.settings import QuantizationSettings

        settings = dict(settings or {})
        name = type(self).__name__
        if settings.setdefault('method', self.method) != self.method:
            raise ValueError(
                f'{name}: its method is {self.method!r}, not {settings["method"]!r}'
            )
        try:
            self.settings = QuantizationSettings(**settings)
        except TypeError as error:  # an unknown field
            reason = str(error).split('__init__() ')[-1]
            raise ValueError(f'{name}: settings {reason}') from error
        self.out = out
        self.report: QuantizationReport | None = None

    def before_train(self, runner: Runner) -> None:
        """Refuse a training that cannot end in an INT8 model.

        Raises:
            ValueError: If there are several processes, there is no validation, or the
                model is of a kind that cannot be deployed.
            ImportError: If the backend is not installed.
        """
        from hpml_mm.deploy.network import plain_network
        from hpml_mm.quantization.backends import backend_class
        from hpml_mm.quantization.from_runner import validation_of

        if get_world_size() > 1:
            raise ValueError(
                f'{type(self).__name__} works in one process: train without it, then '
                'use hpml quantize'
            )
        validation_of(runner)
        plain_network(runner.model)
        backend_class(self.settings.backend).check_installed()

    def quantize(
        self, runner: Runner, model: BaseModel, reference: BaseModel | None = None
    ) -> None:
        """Convert, evaluate, export and report a model of the runner's config."""
        from hpml_mm.quantization.from_runner import quantize_in_runner

        out = Path(self.out or Path(runner.work_dir, 'quantized'))
        self.report = quantize_in_runner(runner, model, self.settings, out, reference)
        runner.logger.info(f'{type(self).__name__}: the INT8 model is in {out}')

    def summary(self) -> dict[str, Any]:
        """Scores, drops, size and speed of the INT8 model; empty before its end."""
        if self.report is None:
            return {}
        found: dict[str, Any] = {'int8/size(MiB)': self.report.int8.size_mib}
        for name, pair in self.report.pairs.items():
            found[f'int8/{name}'] = pair.after
            found[f'int8/{name}/drop(points)'] = pair.points(pair.drop)
        for batch in self.report.int8.latency:
            for against, gain in self.report.speedups(batch).items():
                found[f'int8/speedup/batch{batch}/{against}'] = gain
        return found
