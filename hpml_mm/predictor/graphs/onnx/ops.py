# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Names of ONNX's operators in a graph, by the rules for those of PyTorch."""

_WORDS = {
    'batchnorm': 'BatchNormalization LayerNormalization GroupNormalization '
    'InstanceNormalization RMSNormalization',
    'relu': 'Relu LeakyRelu PRelu Elu ThresholdedRelu',
    'relu6': 'Clip',
    'sigmoid': 'Sigmoid HardSigmoid',
    'tanh': 'Tanh',
    'swish': 'HardSwish Mish Swish SwiGLU',
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
    """Identity Reshape Flatten Transpose Squeeze Unsqueeze Cast CastLike BitCast
    Dropout Slice Split Gather GatherND GatherElements Expand Tile Where Scatter
    ScatterND ScatterElements TensorScatter Trilu QuantizeLinear DequantizeLinear
    DynamicQuantizeLinear ArgMax ArgMin TopK Equal Greater Less GreaterOrEqual
    LessOrEqual Not And Or Xor IsNaN IsInf ReverseSequence CenterCropPad Col2Im
    MaxUnpool OneHot Compress NonZero Unique NonMaxSuppression"""
)

# What these give does not depend on the values of their input.
CONSTANTS = _names(
    """Constant ConstantOfShape Shape Size Range EyeLike RandomNormal RandomNormalLike
    RandomUniform RandomUniformLike HannWindow HammingWindow BlackmanWindow
    MelWeightMatrix"""
)

# They multiply matrices.
PRODUCTS = _names(
    """Conv ConvTranspose ConvInteger QLinearConv DeformConv Gemm MatMul MatMulInteger
    QLinearMatMul Einsum LSTM GRU RNN"""
)

# Other operators that multiply none, for which AIO-P has no word.
OTHERS = _names(
    """Abs Acos Acosh Asin Asinh Atan Atanh Bernoulli BitShift BitwiseAnd BitwiseNot
    BitwiseOr BitwiseXor Ceil Celu Cos Cosh CumProd CumSum Exp Floor GlobalLpPool
    GridSample Hardmax LRN Log LogSoftmax LpNormalization LpPool Max MaxRoiPool Mean
    MeanVarianceNormalization Min Mod Multinomial Neg Pow Reciprocal ReduceL1 ReduceL2
    ReduceLogSum ReduceLogSumExp ReduceMin ReduceProd ReduceSumSquare RoiAlign
    RotaryEmbedding Round Selu Shrink Sign Sin Sinh Softmax Softplus Softsign Sqrt
    Tan"""
)

#: Operators whose cost is known; of all others it is not.
KNOWN = MOVEMENTS | CONSTANTS | PRODUCTS | OTHERS | LABELS.keys()

_FIRST = """Resize Upsample Clip Pad QuantizeLinear DequantizeLinear Dropout Reshape
Slice Expand Tile Squeeze Unsqueeze Split ReduceMean ReduceSum ReduceMax ReduceMin
ReduceProd ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceSumSquare TopK Trilu
DynamicQuantizeLinear RotaryEmbedding CumSum CumProd CenterCropPad Col2Im OneHot
ReverseSequence CastLike Compress"""
#: Positions of the inputs that are data or parameters, where the others only say how:
#: sizes, axes, scales, zero points, running means and variances, tables of angles.
#: Initial states of a recurrent layer are taken as zeros.
DATA = dict.fromkeys(_FIRST.split(), (0,)) | {
    'BatchNormalization': (0, 1, 2),
    'ConvInteger': (0, 1),
    'MatMulInteger': (0, 1),
    'QLinearConv': (0, 3, 8),
    'QLinearMatMul': (0, 3),
    'LSTM': (0, 1, 2, 3, 7),
    'GRU': (0, 1, 2, 3),
    'RNN': (0, 1, 2, 3),
}

#: Position of the bias.
BIAS = {
    **dict.fromkeys(('Conv', 'ConvTranspose', 'Gemm'), 2),
    **dict.fromkeys(('DeformConv', 'LSTM', 'GRU', 'RNN'), 3),
    'QLinearConv': 8,
}

#: A constant in the place of the second input is an index or a mask, no parameter.
INDEXED = _names('Gather GatherND GatherElements Scatter ScatterND ScatterElements')

#: A single number that goes in is a factor, a bound or an exponent, no parameter.
SCALED = _names('Mul Div Where Pow Mod Max Min')

#: What they give is true or false, whatever parameters they compare.
DECIDING = _names(
    """Equal Greater Less GreaterOrEqual LessOrEqual Not And Or Xor IsNaN IsInf ArgMax
    ArgMin NonZero"""
)

#: A constant of which the file holds only shape and value is a parameter behind these.
STRAIGHT = _names(
    """Identity Reshape Flatten Transpose Squeeze Unsqueeze Cast QuantizeLinear
    DequantizeLinear"""
)

# Laid out like a picture, channels after the batch.
PICTURES = _names(
    """BatchNormalization GroupNormalization InstanceNormalization MaxPool AveragePool
    GlobalAveragePool GlobalMaxPool GlobalLpPool LpPool LRN DepthToSpace SpaceToDepth
    PRelu Resize Upsample"""
)
