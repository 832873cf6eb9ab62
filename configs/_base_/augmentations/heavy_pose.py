# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# The cat project's last augmentation, in place of a sized file's steps 1 to 3.
augmentation = [
    dict(type='GetBBoxCenterScale'),
    dict(
        type='PhotometricDistortion',
        brightness_delta=32,
        contrast_range=(0.5, 1.5),
        saturation_range=(0.5, 1.5),
        hue_delta=18,
    ),
    dict(type='RandomFlip', direction='horizontal'),
    # MMPose 0 asks for more than eight keypoints and more than two of a half, and
    # MMPose 1 for at least so many.
    dict(
        type='RandomHalfBody',
        min_total_keypoints=9,
        min_upper_keypoints=3,
        min_lower_keypoints=3,
        prob=0.3,
    ),
    dict(
        type='RandomBBoxTransform',
        scale_factor=(0.5, 1.5),
        rotate_factor=80,
        rotate_prob=0.6,
        shift_factor=0.15,
        shift_prob=0.3,
    ),
]
