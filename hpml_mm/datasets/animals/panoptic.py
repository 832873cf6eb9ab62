# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Panoptic maps in COCO's format, whatever the order of their categories."""

from mmengine.dataset import BaseDataset

from hpml_mm.datasets.coco_content import checked_images, checked_maps
from hpml_mm.datasets.pose.coco_annotations import read_annotations
from hpml_mm.datasets.pose.coco_evidence import category_problem
from hpml_mm.datasets.pose.coco_images import ImageFolder
from hpml_mm.registry import DATASETS


@DATASETS.register_module()
class PanopticDataset(BaseDataset):
    """Images with things and stuff, in COCO's panoptic format.

    MMDetection's ``CocoPanopticDataset`` numbers categories as its file lists them, and
    its models expect all things first, as COCO's own file has them. Here things come
    first whatever the file, and their names are the file's. Items are those of
    ``CocoPanopticDataset``. ``CocoPanopticMetric`` takes the truth from them if it has
    no ``ann_file`` and ``PackDetInputs`` has ``'segments_info'`` among its
    ``meta_keys``.

    Args:
        ann_file: Annotation file, relative to ``data_root``.
        data_prefix: Folders of the images, ``img``, and of the maps, ``seg``.
        **kwargs: Passed to :class:`mmengine.dataset.BaseDataset`.

    Raises:
        FileNotFoundError: The file, an image or a map is not there.
        ValueError: The file is malformed, a segment is of no known category or image,
            or a map has another size than its image.
    """

    def __init__(
        self, ann_file: str, data_prefix: dict | None = None, **kwargs
    ) -> None:
        folders = data_prefix or {'img': 'images/', 'seg': 'panoptic/'}
        super().__init__(ann_file=ann_file, data_prefix=folders, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read and check the annotation file."""
        content = read_annotations(self.ann_file)
        problem = category_problem({**content, 'annotations': []})
        if problem:
            raise ValueError(f'{self.ann_file}: {problem}')
        things = [c for c in content['categories'] if c.get('isthing')]
        stuff = [c for c in content['categories'] if not c.get('isthing')]
        label_of = {c['id']: label for label, c in enumerate([*things, *stuff])}
        names = [tuple(c['name'] for c in kind) for kind in (things, stuff)]
        self._metainfo.update(
            classes=names[0] + names[1], thing_classes=names[0], stuff_classes=names[1]
        )
        images = checked_images(
            self.ann_file, content['images'], self.data_prefix['img']
        )
        annotated = {each.get('image_id'): each for each in content['annotations']}
        missing = [number for number in images if number not in annotated]
        if missing:
            raise ValueError(f'{self.ann_file}: image {missing[0]} has no segments')
        maps = checked_maps(self.ann_file, images, self.data_prefix['seg'])
        files = ImageFolder(self.data_prefix['img'])
        return [
            {
                'img_id': number,
                'img_path': files.path(image['file_name']),
                'seg_map_path': maps[number],
                'height': image['height'],
                'width': image['width'],
                **self._segments(annotated[number], label_of, len(things)),
            }
            for number, image in images.items()
        ]

    def _segments(
        self, annotation: dict, label_of: dict[int, int], num_things: int
    ) -> dict[str, list[dict]]:
        """Segments of an image, and those that are things as instances."""
        instances, segments = [], []
        for segment in annotation.get('segments_info', []):
            label = label_of.get(segment.get('category_id'))
            if label is None or 'id' not in segment or 'bbox' not in segment:
                raise ValueError(
                    f'{self.ann_file}: a segment of image {annotation["image_id"]} '
                    f'needs an id, a bbox and a known category_id: {segment}'
                )
            crowd = bool(segment.get('iscrowd'))
            is_thing = label < num_things and not crowd
            segments.append(
                {'id': segment['id'], 'category': label, 'is_thing': is_thing}
            )
            if is_thing:
                x, y, w, h = segment['bbox']
                box = [x, y, x + w, y + h]
                instances.append({'bbox': box, 'bbox_label': label, 'ignore_flag': 0})
        return {'instances': instances, 'segments_info': segments}
