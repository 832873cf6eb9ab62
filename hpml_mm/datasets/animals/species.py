# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Species of the animal in each box of an annotation file in COCO's format."""

from collections import Counter

from mmengine.logging import print_log
from mmpretrain.datasets import BaseDataset

from hpml_mm.datasets.coco_content import REMEDY, box_problems, checked_images
from hpml_mm.datasets.pose.coco_annotations import read_annotations
from hpml_mm.datasets.pose.coco_images import ImageFolder
from hpml_mm.datasets.pose.coco_problem import first_error
from hpml_mm.registry import DATASETS

from .classes import ANIMALS


@DATASETS.register_module()
class AnimalSpeciesDataset(BaseDataset):
    """One item for each box: its image, the box, and the species in it.

    An image may show several animals, so the item is a box and not an image;
    :class:`~hpml_mm.datasets.transforms.CropBox` cuts it out. Categories are matched by
    their names, whatever their ids. Crowds are left out.

    Args:
        ann_file: Annotation file in COCO's format, relative to ``data_root``.
        data_prefix: Folder of the images, relative to ``data_root``.
        **kwargs: Passed to :class:`mmpretrain.datasets.BaseDataset`.

    Raises:
        FileNotFoundError: The file or an image of it is not there.
        ValueError: The file is malformed, or an annotation is bad; the message names
            file and id.
    """

    METAINFO: dict = {'classes': ANIMALS}

    def __init__(
        self, ann_file: str, data_prefix: str | dict = 'images/', **kwargs
    ) -> None:
        super().__init__(ann_file=ann_file, data_prefix=data_prefix, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read and check the annotation file."""
        content = read_annotations(self.ann_file)
        images = checked_images(self.ann_file, content['images'], self.img_prefix)
        files = ImageFolder(self.img_prefix)
        names = {c.get('id'): c.get('name') for c in content['categories']}
        label_of = {
            number: self.CLASSES.index(name)
            for number, name in names.items()
            if name in self.CLASSES
        }
        problems = list(box_problems(content['annotations'], images, label_of))
        if problems:
            raise first_error(self.ann_file, problems, REMEDY)
        items = [
            {
                'img_path': files.path(images[each['image_id']]['file_name']),
                'bbox': [float(number) for number in each['bbox']],
                'gt_label': label_of[each['category_id']],
                'ann_id': each['id'],
            }
            for each in content['annotations']
            if not each.get('iscrowd')
        ]
        if not items:
            raise ValueError(f'{self.ann_file} holds no box of an animal')
        counts = Counter(self.CLASSES[item['gt_label']] for item in items)
        shown = ', '.join(f'{counts[name]:,} {name}' for name in self.CLASSES)
        print_log(f'{self.ann_file}: boxes of {shown}', 'current')
        return items
