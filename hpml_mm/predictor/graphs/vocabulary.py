# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The operations that a graph's nodes can have: AIO-P's vocabulary.

Order and spelling are those of AIO-P, so that an index means the same in its caches.
"""

import functools

OOV = 'OOV'
# Index 0 stands for every operation that the vocabulary does not know.
VOCABULARY = (
    OOV,
    'input',
    'output',
    'conv',
    'depthwise',
    'batchnorm',
    'relu',
    'relu6',
    'matmul',
    'add',
    'mul',
    'concat',
    'maxpool',
    'avgpool',
    'sigmoid',
    'tanh',
    'swish',
    'gelu',
    'paddings',
    'mean',
    'spacetobatchnd',
    'batchtospacend',
    'spacetodepthnd',
    'depthtospacend',
    'global',
    'identity',
    'zero',
    'reserved1',
    'reserved2',
    'reserved3',
    'reserved4',
    'reserved5',
)
OP_INDEX = {name: index for index, name in enumerate(VOCABULARY)}


@functools.cache
def op_index(label: str) -> int:
    """Index of a label in the vocabulary, by AIO-P's rule.

    The label itself in lower case, else the longest operation that is part of it,
    else 0: 'Conv2D' is a 'conv', 'DepthwiseConv2dNative' a 'depthwise'.
    """
    label = label.lower()
    if label in OP_INDEX:
        return OP_INDEX[label]
    parts = [name for name in VOCABULARY[1:] if name in label]
    return OP_INDEX[max(parts, key=len)] if parts else 0
