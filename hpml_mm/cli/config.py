# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Check a config and print it as a run would see it.

hpml config configs/fer/a.py --cfg-options train_cfg.max_epochs=5
"""

import argparse
import contextlib
import sys

from hpml_mm.config.arguments import add_config_arguments
from hpml_mm.config.overrides import load_config

from .outputs import add_json_option, print_result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_arguments(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> None:
    # Packages that are imported on the way print notes of their own.
    with contextlib.redirect_stdout(sys.stderr):
        cfg = load_config(args.config, args.cfg_options)
    print_result(args, cfg.to_dict())
    if not args.json:
        print(cfg.pretty_text)
