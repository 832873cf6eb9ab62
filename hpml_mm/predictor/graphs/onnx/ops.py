# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Names of ONNX's operators in a graph, by the rules for those of PyTorch."""

_WORDS = {
    'batchnorm': 'BatchNormalization LayerNormalization GroupNormalization '
    'InstanceNormalization RMSNormalization',
    'relu': 'Relu LeakyRelu PRelu Elu ThresholdedRelu',
    'relu6': 'Clip',
    'sigmoid': 'Sigmoid HardSigmoid',
    'tanh': 'Tanh',
    'swish': 'HardSwish Mish Swish',
    'gelu': 'Gelu Erf',
    'add': 'Add Sub Sum',
    'mul': 'Mul Div',
    'concat': 'Concat',
    'maxpool': 'MaxPool GlobalMaxPool ReduceMax',
    'avgpool': 'AveragePool',
    'mean': 'GlobalAveragePool ReduceMean ReduceSum',
    'paddings': 'Pad',
    'depthtospacend': 'DepthToSpace',
    'spacetodepthnd': 'SpaceToDepth',
    'identity': 'Resize Upsample',
}
LABELS = {op: word for word, ops in _WORDS.items() for op in ops.split()}


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Copies and rearrangements: left out, edges go past them.
MOVEMENTS = _names(
    """Identity Reshape Flatten Transpose Squeeze Unsqueeze Cast CastLike Dropout Slice
    Split Gather GatherND GatherElements Expand Tile Where ScatterND ScatterElements
    Trilu QuantizeLinear DequantizeLinear DynamicQuantizeLinear ArgMax TopK Equal
    Greater Less GreaterOrEqual LessOrEqual Not And Or"""
)

# What these give does not depend on the values of their input.
CONSTANTS = _names(
    """Constant ConstantOfShape Shape Size Range EyeLike RandomNormal RandomNormalLike
    RandomUniform RandomUniformLike"""
)

# Only their first input is data; the others say how.
FIRST_INPUT = _names(
    """Resize Upsample Clip Pad QuantizeLinear DequantizeLinear Dropout Reshape Slice
    Expand Tile Squeeze Unsqueeze Split ReduceMean ReduceSum ReduceMax TopK Trilu"""
)

# They multiply matrices or hold other graphs, in ways that nothing here counts.
UNCOUNTED = _names(
    """Einsum LSTM GRU RNN If Loop Scan SequenceMap ConvInteger MatMulInteger
    QLinearConv QLinearMatMul DeformConv Attention LinearAttention"""
)

# Laid out like a picture, channels after the batch.
PICTURES = _names(
    """BatchNormalization GroupNormalization InstanceNormalization MaxPool AveragePool
    GlobalAveragePool GlobalMaxPool DepthToSpace SpaceToDepth PRelu"""
)
