# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Print a config as a run would see it: python tools/print_config.py CONFIG"""

import argparse
import contextlib
import sys

import hpml_mm  # noqa: F401  # makes mmpose importable without compiled ops
from hpml_mm.config.arguments import add_config_arguments, clear_errors
from hpml_mm.config.overrides import load_config


def main() -> None:
    parser = argparse.ArgumentParser(description='Check a config and print it.')
    add_config_arguments(parser)
    args = parser.parse_args()
    # Packages that are imported on the way print notes of their own.
    with clear_errors(), contextlib.redirect_stdout(sys.stderr):
        cfg = load_config(args.config, args.cfg_options)
    print(cfg.pretty_text)


if __name__ == '__main__':
    main()
