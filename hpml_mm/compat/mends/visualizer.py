# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Have trackers begin a run with the first thing that they show.

``Runner`` hands its config over before it builds the model, so that every start which
fails is a run in TensorBoard, W&B and MLflow.
"""

from functools import partial
from importlib.util import find_spec
from types import ModuleType
from typing import Any

#: Backend -> what it imports when it begins.
_CLIENTS = {
    'TensorboardVisBackend': 'tensorboard',
    'WandbVisBackend': 'wandb',
    'MLflowVisBackend': 'mlflow',
    'ClearMLVisBackend': 'clearml',
    'NeptuneVisBackend': 'neptune',
    'DVCLiveVisBackend': 'dvclive',
    'AimVisBackend': 'aim',
}


def mend(module: ModuleType) -> None:
    """Replace ``Visualizer.add_config`` of ``mmengine.visualization.visualizer``."""
    from mmengine.dist import master_only

    kind = module.Visualizer

    @master_only
    def add_config(self: Any, config: Any, **kwargs: Any) -> None:
        for backend in self._vis_backends.values():
            if is_tracker(backend) and not getattr(backend, '_env_initialized', False):
                await_first_use(backend, config)
            else:
                backend.add_config(config, **kwargs)

    add_config.__doc__ = kind.add_config.__doc__
    kind.add_config = add_config


def is_tracker(backend: object) -> bool:
    """Return whether a backend is one of MMEngine's that keep runs."""
    return any(base.__name__ in _CLIENTS for base in type(backend).__mro__)


def await_first_use(backend: Any, config: Any) -> None:
    """Have a backend begin, and get the config, when anything is asked of it.

    Raises:
        ImportError: If the tracker's client is not installed.
    """
    names = [base.__name__ for base in type(backend).__mro__]
    client = next(_CLIENTS[name] for name in names if name in _CLIENTS)
    if find_spec(client) is None:
        raise ImportError(
            f'{names[0]} needs {client}: pip install {client}, or remove it from '
            'vis_backends'
        )
    # MMEngine's own switch: the methods that add something look at it.
    backend._env_initialized = False
    backend._init_env = partial(_begin, backend, config)


def _begin(backend: Any, config: Any) -> None:
    del backend._init_env
    backend._init_env()
    backend._env_initialized = True
    backend.add_config(config)
