# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Throughput arithmetic: batches and step times in, a dict out."""

import math
from array import array
from collections.abc import Sequence

from hpml_mm.utils.stats import percentile


def mfu_percent(
    flops_per_image: float | None,
    images_per_second: float | None,
    peak_flops: float | None,
) -> float | None:
    """Model FLOPs utilisation: achieved over peak FLOP/s of one device, in percent.

    A multiply-add counts as two floating point operations on both sides.

    Returns:
        The share, or None where one of the three is not known.
    """
    if flops_per_image is None or images_per_second is None or peak_flops is None:
        return None
    return 100 * flops_per_image * images_per_second / peak_flops


class ThroughputCounter:
    """Counter that sums steps over windows and a run.

    It knows no clock and no device. The first steps are warm-up: they appear in no
    window and in no sum.

    Args:
        warmup_steps: Number of first steps to leave out.
    """

    def __init__(self, warmup_steps: int) -> None:
        self._warmup_left = warmup_steps
        self._window_times: list[float] = []
        self._window_images: float | None = 0
        # All step times of the run; eight bytes each, so a million is nothing.
        self._times = array('d')
        self._images: float | None = 0
        self._seconds = 0.0
        self._all_images: float | None = 0
        self._all_seconds = 0.0

    def add(self, seconds: float, images: int | None) -> None:
        """Add one step.

        Args:
            seconds: Time of the whole iteration.
            images: Samples in its batch, None where that is not known; then there
                is no throughput, but there are still step times.
        """
        if self._warmup_left > 0:
            self._warmup_left -= 1
            return
        self._window_times.append(seconds)
        self._window_images = _add(self._window_images, images)

    def window_totals(self) -> tuple[float | None, float] | None:
        """Images and seconds of the open window, or None while it has no step."""
        if not self._window_times:
            return None
        return self._window_images, math.fsum(self._window_times)

    def close_window(
        self, processes: Sequence[tuple[float | None, float]] | None = None
    ) -> dict[str, float | None]:
        """Close the open window, which must hold a step.

        Args:
            processes: ``window_totals`` of every process, this one included. None
                where there is one process only.

        Returns:
            Rates and step times of this window.
        """
        totals = self.window_totals()
        assert totals is not None, 'a window without a step cannot be closed'
        images, seconds = totals
        processes = [totals] if processes is None else processes
        # All processes step together, so the slowest one's time is everybody's.
        all_images: float | None = 0
        for part, _ in processes:
            all_images = _add(all_images, part)
        all_seconds = max(part for _, part in processes)

        times = self._window_times
        self._times.extend(times)
        self._images = _add(self._images, images)
        self._seconds += seconds
        self._all_images = _add(self._all_images, all_images)
        self._all_seconds += all_seconds
        self._window_times, self._window_images = [], 0
        return _report(images, seconds, all_images, all_seconds, times)

    def summary(self) -> dict[str, float | None]:
        """Values of ``close_window`` over all closed windows; all None without any."""
        return _report(
            self._images,
            self._seconds,
            self._all_images,
            self._all_seconds,
            self._times,
        )


def _report(
    images: float | None,
    seconds: float,
    all_images: float | None,
    all_seconds: float,
    times: Sequence[float],
) -> dict[str, float | None]:
    return {
        'throughput(img/s)': _rate(images, seconds),
        'throughput/all(img/s)': _rate(all_images, all_seconds),
        'step_time/median(ms)': 1e3 * percentile(times, 50) if times else None,
        'step_time/p95(ms)': 1e3 * percentile(times, 95) if times else None,
        'step_time/n': len(times),
    }


def _add(total: float | None, part: float | None) -> float | None:
    """Sum; None if one part is None."""
    return None if total is None or part is None else total + part


def _rate(images: float | None, seconds: float) -> float | None:
    return None if images is None or seconds <= 0 else images / seconds
