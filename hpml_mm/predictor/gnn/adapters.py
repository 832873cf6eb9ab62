# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""AIO-P's K-adapters: what other tasks teach, beside a predictor that is left alone."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from hpml_mm.registry import MODELS

from .build import build_part
from .encoders import GraphConv
from .graph_batch import GraphBatch
from .heads import AIOPHead
from .readout import graph_mean
from .regressor import ScoreModel
from .targets import TargetScaler

#: Which parts each of AIO-P's fine-tune groups trains. The embedding never learns.
FINE_TUNE_GROUPS = {
    0: ('heads',),
    1: ('heads', 'base'),
    2: ('heads', 'base', 'bodies'),
    3: ('heads', 'bodies'),
}


class Adapter(BaseModule):
    """One task's own layers beside those of the base, and its head.

    h_k^(i+1) = tanh(GraphConv(base's h^(i+1) ++ h_k^i)), where h_k^0 is the embedding
    of the nodes. The base comes first, as in AIO-P's program; its paper puts it last.

    Args:
        width: Channels of a node's state.
        num_layers: Number of layers, as many as the base's.
    """

    def __init__(self, width: int, num_layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            GraphConv(2 * width, width) for _ in range(num_layers)
        )
        self.head = AIOPHead(2 * width, width)

    def vectors(self, base: Sequence[Tensor], batch: GraphBatch) -> Tensor:
        """A vector of each graph, (G, 2 width).

        Args:
            base: States of the base's encoder, the embedding first.
            batch: The graphs.
        """
        state = base[0]
        for layer, beside in zip(self.layers, base[1:], strict=True):
            state = torch.tanh(layer(torch.cat([beside, state], dim=1), batch))
        means = [graph_mean(states, batch) for states in (base[-1], state)]
        return torch.cat(means, dim=1)

    def forward(self, base: Sequence[Tensor], batch: GraphBatch) -> Tensor:
        """This task's scores of the batch's graphs, (G,)."""
        return self.head(self.vectors(base, batch))


@MODELS.register_module()
class KAdapterRegressor(ScoreModel):
    """A trained predictor's encoder with an adapter for each of K other tasks.

    The adapters are trained one after another: ``learn('task')`` leaves this adapter
    alone to be trained, on its own scale. ``tune(group)`` says what learns from a
    target's few networks; all heads together answer then, by the mean of what they give
    before it is scaled back by the target's own scale.

    Args:
        encoder: Config of an encoder, or that of a trained predictor, which is not
            copied. ``init_cfg=dict(type='Pretrained', prefix='encoder.',
            checkpoint=...)`` in a config takes it from the file of a predictor.
        tasks: Names of the adapters.
        learn: The task whose adapter is trained; None for the target.
        group: With ``learn=None``, the fine-tune group.
        scaling: As in ``ScoreModel``, for each task and the target.
        data_preprocessor: As for any of MMEngine's models.
        init_cfg: As for any of MMEngine's modules.

    Raises:
        ValueError: There is no task, or one is there twice.
    """

    def __init__(
        self,
        encoder: dict | nn.Module,
        tasks: Sequence[str],
        learn: str | None = None,
        group: int = 0,
        scaling: str = 'stand',
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(scaling, data_preprocessor, init_cfg)
        if not tasks or len(set(tasks)) < len(tasks):
            raise ValueError(
                f'KAdapterRegressor: tasks={list(tasks)}; one or more different names '
                'are needed'
            )
        self.encoder = build_part(encoder)
        self.tasks = tuple(tasks)
        width, layers = self.encoder.width, len(self.encoder.layers)
        # By number, as a module's name must hold no dot.
        self.adapters = nn.ModuleList(Adapter(width, layers) for _ in self.tasks)
        self.task_scalers = nn.ModuleList(TargetScaler(scaling) for _ in self.tasks)
        self.learning: str | None = None
        if learn is None:
            self.tune(group)
        else:
            self.learn(learn)

    def learn(self, task: str) -> None:
        """From now on one task's adapter is trained, and answers alone.

        Raises:
            ValueError: There is no adapter for the task.
        """
        self.requires_grad_(False)
        self.adapters[self._number(task)].requires_grad_(True)
        self.learning = task

    def tune(self, group: int) -> None:
        """From now on the target is learnt, and all heads answer together.

        Args:
            group: 0 trains the heads, 1 heads and the base's layers, 2 these and the
                adapters' layers, 3 heads and the adapters' layers.

        Raises:
            ValueError: There is no such group. AIO-P's -1 is a ``GraphRegressor``
                without adapters, of which everything learns.
        """
        if group not in FINE_TUNE_GROUPS:
            raise ValueError(
                f'fine-tune group {group!r} is unknown; there are 0, 1, 2 and 3. For '
                'all parameters without adapters (-1) fine-tune the GraphRegressor'
            )
        parts = {
            'heads': [adapter.head for adapter in self.adapters],
            'bodies': [adapter.layers for adapter in self.adapters],
            'base': [self.encoder.layers],
        }
        self.requires_grad_(False)
        for part in FINE_TUNE_GROUPS[group]:
            for module in parts[part]:
                module.requires_grad_(True)
        self.learning = None

    def outputs(self, batch: GraphBatch) -> Tensor:
        """Scores on the scale of the labels, (G,): a task's, or the mean of all."""
        if self.learning is None:
            return self.head_outputs(batch).mean(dim=1)
        states = self._base_states(batch)
        return self.adapters[self._number(self.learning)](states, batch)

    def head_outputs(self, batch: GraphBatch) -> Tensor:
        """What each head gives on the scale of the labels, (G, K).

        How far the heads are apart says how sure the predictor is.
        """
        states = self._base_states(batch)
        return torch.stack([one(states, batch) for one in self.adapters], dim=1)

    @property
    def current_scaler(self) -> TargetScaler:
        """The scale of the task that is learnt, or of the target."""
        if self.learning is None:
            return self.scaler
        return self.task_scalers[self._number(self.learning)]

    def _base_states(self, batch: GraphBatch) -> list[Tensor]:
        if any(p.requires_grad for p in self.encoder.parameters()):
            return self.encoder(batch)
        with torch.no_grad():
            return self.encoder(batch)

    def _number(self, task: str) -> int:
        if task not in self.tasks:
            raise ValueError(
                f'there is no adapter for {task!r}; there are {", ".join(self.tasks)}'
            )
        return self.tasks.index(task)
