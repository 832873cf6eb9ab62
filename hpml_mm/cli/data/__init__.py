# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Convert, draw and check data sets."""

COMMANDS = {
    'browse': "look at a config's pictures after augmentation",
    'convert': 'convert FER2013 to CSV or folders, published poses to JSON',
    'duplicates': 'find faces with the same pixels, across splits and labels',
    'eda': 'count classes, sizes, intensities, duplicates and keypoints',
    'faces': 'draw demonstration faces into class folders',
}
