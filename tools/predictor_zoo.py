# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Graphs of the classifiers that MMPretrain publishes, with their stated accuracy.

    python tools/predictor_zoo.py --out work_dirs/graphs/mmpretrain.safetensors

Goes on where it was interrupted. What cannot be traced is listed with the reason.
"""

import argparse
from pathlib import Path

from mmengine.logging import MMLogger

from hpml_mm.config.arguments import clear_errors
from hpml_mm.predictor.data.zoo import Published, build_zoo


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out', type=Path, required=True, help='the cache')
    return parser.parse_args()


def show(model: Published, problem: str) -> None:
    print(f'{model.family}/{model.name}', f'left out: {problem}' if problem else '')


def main() -> None:
    args = parse_args()
    MMLogger.get_instance('mmengine', log_level='WARNING')
    with clear_errors():
        cache = build_zoo(args.out, show)
    print(f'{len(cache)} graphs in {args.out}')


if __name__ == '__main__':
    main()
