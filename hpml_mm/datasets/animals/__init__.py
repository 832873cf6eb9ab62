# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Animals of PASCAL VOC: species of each box, semantic and panoptic maps."""
