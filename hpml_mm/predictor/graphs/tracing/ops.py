# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Names of PyTorch's operators in a graph.

Names are those of ``torch.ops.aten`` without overload and without underscores around
them: ``relu`` stands for ``relu_`` too.

Where AIO-P has no word, the nearest one is taken: every normalisation is a
'batchnorm'; SiLU, hard swish and Mish are 'swish'; a hard sigmoid is a 'sigmoid';
leaky and parametric ReLU and ELU are 'relu'; a difference is an 'add', a quotient a
'mul', a sum over dimensions a 'mean'; resizing is an 'identity', as AIO-P has it for
bilinear resizing. What is neither here nor mere data movement (softmax, powers,
square roots...) is 'OOV'.
"""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WORDS = {
    'batchnorm': 'native_batch_norm native_batch_norm_legit '
    'native_batch_norm_legit_no_training native_layer_norm native_group_norm '
    'fused_rms_norm rms_norm',
    'relu': 'relu leaky_relu prelu prelu_kernel elu clamp_min threshold',
    'relu6': 'relu6 hardtanh clamp',
    'sigmoid': 'sigmoid hardsigmoid',
    'tanh': 'tanh',
    'swish': 'silu hardswish mish',
    'gelu': 'gelu',
    'add': 'add sub rsub',
    'mul': 'mul div',
    'concat': 'cat stack',
    'maxpool': 'max_pool2d_with_indices adaptive_max_pool2d max_pool2d amax',
    'avgpool': 'avg_pool2d adaptive_avg_pool2d',
    'mean': 'mean sum',
    'paddings': 'constant_pad_nd reflection_pad1d reflection_pad2d replication_pad2d '
    'pad',
    'depthtospacend': 'pixel_shuffle',
    'spacetodepthnd': 'pixel_unshuffle',
    'identity': 'upsample_bilinear2d upsample_nearest2d upsample_bicubic2d '
    'upsample_nearest_exact2d upsample_linear1d upsample_nearest1d',
}
LABELS = {op: word for word, ops in _WORDS.items() for op in _names(ops)}

# With a single input that was computed, these say nothing and are left out.
MERGES = frozenset({'add', 'mul', 'concat'})

# Copies, views and rearrangements: left out, edges go past them.
MOVEMENTS = _names(
    """alias as_strided clone contiguous copy detach expand expand_copy flip gather
    im2col index index_copy index_put index_select unsafe_index lift_fresh masked_fill
    narrow permute repeat reshape reshape_alias roll scatter scatter_add select
    select_scatter slice slice_scatter split split_with_sizes squeeze t take_along_dim
    to_copy transpose tril triu unbind unfold unsafe_view unsqueeze view where
    conj view_as_real view_as_complex real imag dropout native_dropout col2im
    unsafe_split alias_copy topk sort argsort argmax max_unpool2d
    eq ne lt le gt ge logical_not logical_and logical_or bitwise_not isnan
    is_same_size"""
)

# What these give does not depend on the values of their input.
CONSTANTS = _names(
    """empty_like zeros_like ones_like full_like rand_like randn_like new_empty
    new_zeros new_ones new_full new_empty_strided empty empty_strided zeros ones full
    arange linspace eye scalar_tensor rand randn randperm sym_size sym_stride
    sym_numel"""
)

# They multiply matrices within, in ways that PyTorch's counter does not count either.
UNCOUNTED = _names(
    """native_multi_head_attention transformer_encoder_layer_fwd mkldnn_rnn_layer lstm
    gru rnn_tanh rnn_relu thnn_fused_lstm_cell thnn_fused_gru_cell cudnn_rnn
    scaled_dot_product_flash_attention scaled_dot_product_flash_attention_for_cpu
    scaled_dot_product_efficient_attention scaled_dot_product_cudnn_attention
    flash_attention_forward efficient_attention_forward mv addmv dot vdot addr addbmm
    trilinear cdist_forward"""
)

# Their output is laid out like a picture.
PICTURES = _names(
    """native_batch_norm native_group_norm max_pool2d_with_indices avg_pool2d
    adaptive_avg_pool2d adaptive_max_pool2d pixel_shuffle pixel_unshuffle
    upsample_bilinear2d upsample_nearest2d upsample_bicubic2d reflection_pad2d
    replication_pad2d"""
)

# Their result has the shape and type of their first input.
SAME_SHAPE = _names(
    'native_batch_norm relu hardtanh hardswish hardsigmoid silu sigmoid tanh gelu mish'
)


def plain_name(packet: str) -> str:
    """Name without namespace: ``aten::add_`` is ``add``, ``_softmax`` ``softmax``."""
    return packet.rpartition(':')[2].strip('_')
