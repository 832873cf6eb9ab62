# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Images of COCO-style files without their annotations."""

from collections.abc import Sequence
from pathlib import Path

from mmengine.dataset import BaseDataset

from hpml_mm.registry import DATASETS
from hpml_mm.utils.text_file import read_json


@DATASETS.register_module()
class ImageFiles(BaseDataset):
    """Images that COCO-style files list, for training without labels.

    Args:
        sources: Pairs of a file and the folder of its images.
        without: Files whose images are left out by name: an image may be in the
            training part of one set and in the validation part of another.
        pipeline: Transforms, which get ``img_path``.
        test_mode: True for validation.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A file lists no images, or none are left.
    """

    def __init__(
        self,
        sources: Sequence[tuple[str, str]],
        without: Sequence[str] = (),
        pipeline: Sequence = (),
        test_mode: bool = False,
    ) -> None:
        self.sources = [(Path(file), Path(folder)) for file, folder in sources]
        self.without = [Path(file) for file in without]
        super().__init__(pipeline=list(pipeline), test_mode=test_mode)

    def load_data_list(self) -> list[dict]:
        """List the paths of the images."""
        hidden = {name for file in self.without for name in _names(file)}
        found = [
            {'img_path': str(folder / name)}
            for file, folder in self.sources
            for name in _names(file)
            if name not in hidden
        ]
        if not found:
            raise ValueError(
                f'ImageFiles: no image is left of {len(self.sources)} files'
            )
        return found


def _names(file: Path) -> list[str]:
    if not file.is_file():
        raise FileNotFoundError(f'there is no list of images {file}')
    content = read_json(file)
    try:
        return [image['file_name'] for image in content['images']]
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{file}: no list 'images' whose entries have a 'file_name', as in COCO"
        ) from error
