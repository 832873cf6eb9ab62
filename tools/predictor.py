# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Networks as graphs: count, draw and cache them, predict and search their scores.

python tools/predictor.py sample ofa-mbv3-w1.0 -n 5
python tools/predictor.py graph resnet18_8xb32_in1k model.onnx --out a.cache
python tools/predictor.py profile ofa-mbv3-w1.0:ARCH
python tools/predictor.py profile --table in.csv --out out.csv
python tools/predictor.py draw configs/fer/a.py --out a.svg
python tools/predictor.py cache build table.csv --space ofa-mbv3-w1.0 --out b.cache
python tools/predictor.py cache summary b.cache --srcc "imagenet/top1(%)" macs
python tools/predictor.py predict ofa-mbv3-w1.0:ARCH resnet18_8xb32_in1k
python tools/predictor.py predict --table in.csv --out out.csv
python tools/predictor.py rank --table in.csv
python tools/predictor.py search ofa-mbv3-w1.0 --max-macs 300M --out DIR
python tools/predictor.py train b.cache -n 500 --out c.safetensors
python tools/predictor.py finetune c.safetensors other.cache -n 20 --out d.safetensors
python tools/predictor.py info c.safetensors --cache b.cache
"""

import sys

import hpml_mm  # noqa: F401  # makes mmpose importable without compiled ops
from hpml_mm.cli.nas import make_parser
from hpml_mm.config.arguments import clear_errors


def main(argv: list[str] | None = None) -> None:
    argv = sys.argv[1:] if argv is None else argv
    args = make_parser(__doc__, argv).parse_args(argv)
    try:
        with clear_errors():
            args.run(args)
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        sys.exit(130)


if __name__ == '__main__':
    main()
