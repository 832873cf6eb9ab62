# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Find faces with the same pixels, within and across splits.

hpml data duplicates data/fer2013
hpml data duplicates fer2013.csv --json > groups.json
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

from hpml_mm.cli.outputs import add_json_option, print_result
from hpml_mm.datasets import FERCSVDataset, FERFolderDataset
from hpml_mm.datasets.fer.classes import FER_CLASSES, SPLITS
from hpml_mm.datasets.fer.duplicates import (
    DuplicateGroup,
    Face,
    count_groups,
    group_duplicates,
    item_key,
)
from hpml_mm.utils.console import progress_bar


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'source', type=Path, help='a folder with {train,val,test}/CLASS/*, or a CSV'
    )
    parser.add_argument(
        '--examples', type=int, default=3, help='groups to print of each kind'
    )
    parser.add_argument(
        '--on-error',
        choices=('raise', 'skip'),
        default='raise',
        help='whether a damaged image or row ends the search or is left out',
    )
    add_json_option(parser)


def load_faces(
    source: Path, on_error: str, show: Callable[[int, int], None]
) -> Iterator[tuple[bytes, Face]]:
    """Key and place of each face of a folder tree or CSV file; tell how many."""
    if source.is_dir():
        faces = FERFolderDataset(str(source), list(SPLITS), on_error=on_error)
    else:
        path = str(source.absolute())
        faces = FERCSVDataset(split=list(SPLITS), ann_file=path, on_error=on_error)
    for index, item in enumerate(map(faces.get_data_info, range(len(faces)))):
        show(index, len(faces))
        face = Face(item['img_path'], item['split'], int(item['gt_label']))
        yield item_key(item), face


def report(num_faces: int, groups: list[DuplicateGroup], num_examples: int) -> str:
    """Text with the counts, and the first groups of each kind."""
    counts = count_groups(groups)
    lines = [
        f'{num_faces:,} faces, of which {counts["surplus"]:,} repeat another one',
        f'{counts["groups"]:>7,} groups of pixel-identical faces',
        f'{counts["crossing"]:>7,} of them across splits',
        f'{counts["conflicting"]:>7,} of them with conflicting labels',
        f'{counts["crossing_and_conflicting"]:>7,} of them both',
    ]
    kinds = (
        ('across splits', [group for group in groups if group.crosses_splits]),
        ('with conflicting labels', [group for group in groups if group.conflicts]),
    )
    for title, chosen in kinds:
        for number, group in enumerate(chosen[:num_examples], start=1):
            lines.append(f'\n{title}, {number} of {len(chosen):,}:')
            lines += [
                f'  {face.split:5} {FER_CLASSES[face.label]:8} {face.name}'
                for face in group.faces
            ]
    if counts['crossing']:
        lines.append('\nTo train without the crossing ones: drop_crossing=True')
    return '\n'.join(lines)


def run(args: argparse.Namespace) -> None:
    with progress_bar('faces') as show:
        faces = list(load_faces(args.source, args.on_error, show))
    groups = group_duplicates(faces)
    if not args.json:
        print(report(len(faces), groups, args.examples))
    content = {
        'source': str(args.source),
        'faces': len(faces),
        'counts': count_groups(groups),
        'groups': [group.to_dict() for group in groups],
    }
    print_result(args, content)
