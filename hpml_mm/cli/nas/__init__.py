# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Networks as graphs: count, draw and cache them, predict and search their scores.

hpml nas sample ofa-mbv3-w1.0 -n 5
hpml nas graph resnet18_8xb32_in1k model.onnx --out a.cache
hpml nas profile ofa-mbv3-w1.0:ARCH
hpml nas profile --table in.csv --out out.csv
hpml nas draw configs/fer/a.py --out a.svg
hpml nas cache build table.csv --space ofa-mbv3-w1.0 --out b.cache
hpml nas cache zoo --package mmpose mmdet --out zoo.cache
hpml nas cache summary b.cache --srcc "imagenet/top1(%)" macs
hpml nas predict ofa-mbv3-w1.0:ARCH resnet18_8xb32_in1k
hpml nas predict --table in.csv --out out.csv
hpml nas rank --table in.csv
hpml nas search ofa-mbv3-w1.0 --max-macs 300M --out DIR
hpml nas label ofa-mbv3-w1.0 --config a.py -n 24 --metric coco/AP:max --out a.csv
hpml nas train b.cache -n 500 --out c.safetensors
hpml nas finetune c.safetensors other.cache -n 20 --out d.safetensors
hpml nas info c.safetensors --cache b.cache
"""

COMMANDS = {
    'sample': 'draw archs of a search space at random',
    'graph': 'turn networks into computational graphs, and keep them in a cache',
    'profile': 'count MACs and parameters of each node, or of all networks of a table',
    'draw': 'draw the graph of a network as SVG',
    'cache': 'build, merge, filter, sum up and import caches of graphs',
    'label': 'train archs as bodies of a config, and write their scores to a table',
    'train': 'train a predictor on a sample of a table, test it on the rest, write it',
    'finetune': 'fit a predictor to a few networks of another table',
    'predict': 'predict the scores of networks, with their standard deviation',
    'rank': 'put networks in the order of their predicted scores',
    'search': 'find the networks that are predicted to be best within limits',
    'info': 'training set of a predictor, and its scores beside baselines',
}
