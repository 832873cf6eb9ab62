# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Choice of the objects to draw, and the same ones of another model."""

from collections.abc import Sequence

import cv2
import numpy as np

from .pose_case import PoseCase, WorstCases
from .pose_model import PoseModel


def check_request(out: str, num: int) -> None:
    """Refuse what could not be drawn, before models are loaded in vain.

    Args:
        out: File to write.
        num: How many objects to draw.

    Raises:
        ValueError: If OpenCV cannot write such a file, or ``num`` is below 1.
    """
    if not cv2.haveImageWriter(out):
        raise ValueError(f'--out {out}: no kind of picture; end it in .png')
    if num < 1:
        raise ValueError(f'--num {num}: draw at least one object')


def spaced_cases(model: PoseModel, num: int) -> list[PoseCase]:
    """Objects evenly spaced over the data, all of them where it has no more."""
    places = np.linspace(0, len(model) - 1, min(num, len(model)))
    return given_cases(model, places.round().astype(int).tolist())


def given_cases(model: PoseModel, indices: Sequence[int]) -> list[PoseCase]:
    """Objects at given places of the data, in the given order.

    Raises:
        ValueError: If there is no such place.
    """
    for index in indices:
        if not 0 <= index < len(model):
            raise ValueError(
                f'no object {index}: the data of {model.name} holds 0 to '
                f'{len(model) - 1}'
            )
    return [case.to_keep() for case in model.cases(indices)]


def worst_cases(model: PoseModel, num: int) -> tuple[list[PoseCase], list[float]]:
    """The objects of the lowest OKS, and the OKS of all that have one."""
    worst, similar = WorstCases(num), list[float]()
    for case in model.cases(range(len(model))):
        worst.offer(case)
        if not np.isnan(case.oks):
            similar.append(case.oks)
    return worst.kept, similar


def same_cases(
    model: PoseModel, other: PoseModel, cases: Sequence[PoseCase]
) -> list[PoseCase]:
    """Predict the same objects by another model, found by the annotations' ids.

    Args:
        model: The model of the cases.
        other: The other model.
        cases: What the first one said.

    Raises:
        ValueError: If the other one's data lacks one of them.
    """
    places = other.places()
    for case in cases:
        if case.id not in places:
            raise ValueError(
                f'the data of {other.name} has no annotation {case.id}, which '
                f'{model.name} was drawn on: compare models on the same data'
            )
    return given_cases(other, [places[case.id] for case in cases])


def check_same_keypoints(model: PoseModel, other: PoseModel) -> None:
    """Refuse to compare different skeletons.

    Raises:
        ValueError: If the names of the keypoints differ, or their order.
    """
    if model.keypoints != other.keypoints:
        raise ValueError(
            f'{model.name} predicts {len(model.keypoints)} keypoints '
            f'({", ".join(model.keypoints)}) and {other.name} '
            f'{len(other.keypoints)} ({", ".join(other.keypoints)}): compare models '
            'of the same keypoints'
        )
