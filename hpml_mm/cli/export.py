# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Write a trained model as ONNX, or the weights of its checkpoint alone.

    hpml export CONFIG CHECKPOINT --out model.onnx
    hpml export CONFIG CHECKPOINT --out weights.safetensors

The ONNX file takes batches of any size and holds labels and steps, so that
`hpml predict` runs it. Its outputs are compared with PyTorch's before it is written.
"""

import argparse
from pathlib import Path

from hpml_mm.config.arguments import add_config_arguments
from hpml_mm.config.overrides import load_config
from hpml_mm.deploy.describe import spec_of
from hpml_mm.deploy.export import export_onnx
from hpml_mm.deploy.network import plain_network
from hpml_mm.deploy.steps import metainfo_of
from hpml_mm.engine.resume import check_checkpoint
from hpml_mm.engine.weights import export_weights, load_fitting
from hpml_mm.utils.model import build_model

_ENDINGS = ('.onnx', '.safetensors')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='.pth or .safetensors')
    parser.add_argument(
        '--out',
        type=Path,
        required=True,
        metavar='FILE',
        help=f'write the model here, as {" or ".join(_ENDINGS)}',
    )


def run(args: argparse.Namespace) -> None:
    if args.out.suffix not in _ENDINGS:
        raise ValueError(f'--out {args.out} must end in {" or ".join(_ENDINGS)}')
    cfg = load_config(args.config, args.cfg_options)
    check_checkpoint(args.checkpoint)
    if args.out.suffix == '.safetensors':
        export_weights(args.checkpoint, str(args.out), Path(args.config).stem)
    else:
        model = build_model(cfg)
        load_fitting(model, args.checkpoint)
        spec = spec_of(cfg, model, metainfo_of(cfg, args.checkpoint))
        export_onnx(plain_network(model), spec, args.out)
    print(f'{args.out}: {args.out.stat().st_size:,} bytes')
