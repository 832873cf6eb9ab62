# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Names of PASCAL VOC's animals, and ids of its 21 classes."""

ANIMALS = ('cat', 'cow', 'dog', 'horse', 'sheep')

#: Classes of VOC's semantic maps in the order of their ids.
VOC_CLASSES = (
    *('background', 'aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car'),
    *('cat', 'chair', 'cow', 'diningtable', 'dog', 'horse', 'motorbike', 'person'),
    *('pottedplant', 'sheep', 'sofa', 'train', 'tvmonitor'),
)
VOID = 255

#: Classes of a semantic map of animals alone; the rest is one class, the last.
ANIMALS_AND_REST = (*ANIMALS, 'background')
