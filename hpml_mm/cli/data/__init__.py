# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Convert, draw and check data sets."""

COMMANDS = {
    'convert': 'convert FER2013 between class folders and a CSV file',
    'duplicates': 'find faces with the same pixels, across splits and labels',
    'faces': 'draw demonstration faces into class folders',
}
