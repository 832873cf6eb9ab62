# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Semantic maps of VOC's 21 classes as maps of the five animals and the rest."""

import os

from mmengine.dataset import BaseDataset

from hpml_mm.datasets.coco_content import checked_images, checked_maps
from hpml_mm.datasets.pose.coco_annotations import read_annotations
from hpml_mm.registry import DATASETS

from .classes import ANIMALS_AND_REST, VOC_CLASSES

_LABEL_MAP = {
    number: ANIMALS_AND_REST.index(name if name in ANIMALS_AND_REST else 'background')
    for number, name in enumerate(VOC_CLASSES)
}


@DATASETS.register_module()
class AnimalSemanticDataset(BaseDataset):
    """Images with a map of six classes: the animals, and all else as background.

    The background is the last class, so that ``PanopticFPNHead`` without things and
    with five classes of stuff has one output for each of the six. Void (255) stays. The
    maps are read by MMDetection's ``LoadAnnotations(with_seg=True)``, with its backend
    ``pillow``: OpenCV would read colours of the palette.

    Args:
        ann_file: Annotation file in COCO's format, relative to ``data_root``, of which
            the images are used.
        data_prefix: Folders of the images, ``img``, and of the maps, ``seg``.
        **kwargs: Passed to :class:`mmengine.dataset.BaseDataset`.

    Raises:
        FileNotFoundError: The file, an image or a map is not there.
        ValueError: The file is malformed, or a map has another size than its image.
    """

    METAINFO: dict = {'classes': ANIMALS_AND_REST}

    def __init__(
        self, ann_file: str, data_prefix: dict | None = None, **kwargs
    ) -> None:
        folders = data_prefix or {'img': 'images/', 'seg': 'semantic/'}
        super().__init__(ann_file=ann_file, data_prefix=folders, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the list of images and look for their maps."""
        content = read_annotations(self.ann_file, optional=('annotations',))
        folder = self.data_prefix['img']
        images = checked_images(self.ann_file, content['images'], folder)
        maps = checked_maps(self.ann_file, images, self.data_prefix['seg'])
        return [
            {
                'img_id': number,
                'img_path': os.path.join(folder, image['file_name']),
                'seg_map_path': maps[number],
                'height': image['height'],
                'width': image['width'],
                'label_map': _LABEL_MAP,
            }
            for number, image in images.items()
        ]
