# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Write the weights of a checkpoint alone.

python tools/export_weights.py CHECKPOINT.pth OUT.safetensors
"""

import argparse

from hpml_mm.config.arguments import clear_errors
from hpml_mm.engine.weights import export_weights


def main() -> None:
    parser = argparse.ArgumentParser(
        description='Write the weights of a checkpoint, and nothing else of it.'
    )
    parser.add_argument('checkpoint')
    parser.add_argument('output', help='must end in .safetensors')
    parser.add_argument('--config', help="config's name, where the run's is not it")
    args = parser.parse_args()
    with clear_errors():
        size = export_weights(args.checkpoint, args.output, args.config)
    print(f'{args.output}: {size:,} bytes')


if __name__ == '__main__':
    main()
