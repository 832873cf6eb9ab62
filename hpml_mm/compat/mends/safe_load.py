# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Mend the loader of MMEngine's checkpoints.

It asks torch for a safe load, with a list of names by which a file can still run
anything, and, when that refuses a file, loads it again in the unsafe way. What comes
from an address it loads in the unsafe way at once. And ``resume`` reads ``meta.config``
as Python.
"""

import os
import re
from http.client import HTTPException
from types import ModuleType
from typing import Any
from urllib.error import URLError
from urllib.parse import urlparse

from torch.hub import HASH_REGEX, download_url_to_file, get_dir

from hpml_mm.compat.safe_load import load_safely


def mend(module: ModuleType) -> None:
    """Replace the loaders of ``mmengine.runner.checkpoint``."""

    def _safe_torch_load(
        file: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> Any:
        return _without_config(load_safely(file, map_location))

    module._safe_torch_load = _safe_torch_load  # type: ignore[attr-defined]
    module.load_url = load_url  # type: ignore[attr-defined]


def load_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
) -> Any:
    """Load a checkpoint from an address, as ``torch.hub`` does, but safely.

    Raises:
        RefusedFileError: It is refused, see :func:`~hpml_mm.compat.safe_load`.
        FileNotFoundError: It could not be downloaded.
    """
    folder = model_dir or os.path.join(get_dir(), 'checkpoints')
    name = file_name or os.path.basename(urlparse(url).path)
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        os.makedirs(folder, exist_ok=True)
        digest = HASH_REGEX.search(name) if check_hash else None
        prefix = digest[1] if digest else None
        try:
            download_url_to_file(url, path, prefix, progress=progress)
        except (URLError, HTTPException, ConnectionError, TimeoutError) as error:
            raise FileNotFoundError(
                f'{url} could not be downloaded ({error}): check the network and the '
                f'proxy (https_proxy), or download it elsewhere and put it at {path}'
            ) from error
    return _without_config(load_safely(path, map_location))


def _without_config(checkpoint: Any) -> Any:
    """Drop the text that MMEngine would read as Python, to compare GPU numbers.

    The mere name of a config, as this project notes it, becomes ``config_name``.
    """
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    if isinstance(meta, dict):
        config = meta.pop('config', None)
        if isinstance(config, str) and re.fullmatch(r'[\w.+=-]+', config):
            meta['config_name'] = config
    return checkpoint
