# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Have MMEngine's inferencers read a checkpoint's config as data.

They execute it as Python where weights are given without a config.
"""

from types import ModuleType
from typing import Any

from hpml_mm.compat.literal_config import literal_config


def mend(module: ModuleType) -> None:
    """Replace the config class that ``mmengine.infer.infer`` uses."""
    if not isinstance(module.Config, ConfigOfData):
        module.Config = ConfigOfData(module.Config)  # type: ignore[attr-defined]


class ConfigOfData:
    """``Config`` whose texts are read as data; for all else it is the class itself.

    Args:
        kind: The class.
    """

    def __init__(self, kind: type) -> None:
        self._kind = kind

    def fromstring(self, cfg_str: str, file_format: str) -> Any:
        """Read a text that comes from a checkpoint.

        Raises:
            ValueError: It is more than data.
        """
        return literal_config(cfg_str, 'the checkpoint')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Make a config."""
        return self._kind(*args, **kwargs)

    def __instancecheck__(self, instance: object) -> bool:
        """Tell its configs from other objects."""
        return isinstance(instance, self._kind)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kind, name)
