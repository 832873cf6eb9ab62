# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Path of the running module, by which nodes are named."""

import collections
import contextlib
from collections.abc import Iterator

from torch import nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)


class ModulePaths:
    """Keeps track of the running module, and names nodes after it.

    After an error ``current`` is still the path of the module that failed.
    """

    def __init__(self, module: nn.Module) -> None:
        self._root = type(module).__name__
        self._paths = {id(child): path for path, child in module.named_modules()}
        self._leaves = {
            id(child) for child in module.modules() if not any(child.children())
        }
        self._stack: list[nn.Module] = []
        self._uses: collections.Counter[str] = collections.Counter()

    @property
    def current(self) -> str:
        """Path of the running module; the network itself by the name of its class."""
        for module in reversed(self._stack):
            if path := self._paths.get(id(module)):
                return path
        return self._root

    def node_name(self, op: str) -> str:
        """A name for a node: its module's path, with the operator unless a leaf's.

        From its second use on a name gets a number: 'layer1.0.relu_1'.
        """
        running = self._stack[-1] if self._stack else None
        path = self._paths.get(id(running), '')
        # Of a leaf that pads and then convolves, the convolution has the plain name.
        if id(running) in self._leaves and path and op != 'paddings':
            name = path
        else:
            path = self.current if self.current != self._root else ''
            name = f'{path}.{op}' if path else op
        count = self._uses[name]
        self._uses[name] += 1
        return f'{name}_{count}' if count else name

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Context in which every call of a submodule is followed."""

        def enter(module: nn.Module, args: object) -> None:
            self._stack.append(module)

        def leave(module: nn.Module, args: object, output: object) -> None:
            # Modules whose error was caught by the network never left.
            while self._stack and self._stack.pop() is not module:
                pass

        handles = [
            register_module_forward_pre_hook(enter),
            register_module_forward_hook(leave),
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Context in which a module and its parts are in evaluation mode.

    By its own method: some attentions of MMPretrain prepare a tensor then. What is in
    evaluation mode already is not asked again, and keeps what it has prepared.
    """
    modes = [(child, child.training) for child in module.modules()]
    for child, _ in modes:
        if child.training:
            child.eval()
    try:
        yield
    finally:
        for child, was_training in modes:
            if was_training and not child.training:
                child.train()
        for child, was_training in modes:
            child.training = was_training
