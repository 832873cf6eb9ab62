# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Names of the seven expressions and of FER2013's three splits."""

from collections.abc import Sequence

from hpml_mm.config import lookup

FER_CLASSES = ('Angry', 'Disgust', 'Fear', 'Happy', 'Sad', 'Surprise', 'Neutral')
"""Class names in label order, the same for folders and CSV files."""

SPLITS = ('train', 'val', 'test')

SPLIT_USAGE = {'train': 'Training', 'val': 'PublicTest', 'test': 'PrivateTest'}
"""Names of the splits in the CSV file's column ``Usage``."""

_LABEL_OF = {name.lower(): label for label, name in enumerate(FER_CLASSES)}
_SPLIT_OF = {
    **{name: name for name in SPLITS},
    **{usage.lower(): name for name, usage in SPLIT_USAGE.items()},
}


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Hint at the known name that is most similar to ``name``.

    Returns:
        ``"; did you mean 'X'?"``, or an empty string where nothing is close.
    """
    found = lookup.nearest(name.strip(), known, 0.5)
    return f'; did you mean {found!r}?' if found else ''


def class_id(name: str) -> int | None:
    """Label of a class name in any case; None if it is no class name."""
    return _LABEL_OF.get(name.lower())


def split_of(name: str) -> str | None:
    """Split of a folder or CSV name in any case; None if it is neither."""
    return _SPLIT_OF.get(name.strip().lower())


def parse_splits(split: str | Sequence[str]) -> tuple[str, ...]:
    """Name one split or several by this project's names or by the CSV's.

    Raises:
        ValueError: A name is unknown, or a split is named twice.
    """
    names = (split,) if isinstance(split, str) else tuple(split)
    if not names:
        raise ValueError(f'split is empty; choose from {SPLITS}')
    splits = []
    for name in names:
        found = split_of(name)
        if found is None:
            known = SPLITS + tuple(SPLIT_USAGE.values())
            raise ValueError(
                f'unknown split {name!r} (known: {", ".join(known)})'
                f'{did_you_mean(name, known)}'
            )
        if found in splits:
            raise ValueError(f'split {found!r} is named twice in {names}')
        splits.append(found)
    return tuple(splits)
