# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Stands in for ResNet-50 on a CPU. Its ImageNet weights come from TensorFlow: that
# framework's BatchNorm epsilon, and pixels from -1 to 1.
network = dict(
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict(
        type='MobileNetV2',
        norm_cfg=dict(type='BN', eps=1e-3),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$HPML_MM_DATA:data}}/weights/mobilenet_v2_imagenet.pth',
            prefix='backbone.',
        ),
    ),
    head=dict(in_channels=1280),
)
