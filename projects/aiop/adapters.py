# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""AIO-P's K-adapters: small networks for other tasks beside a frozen predictor."""

from collections.abc import Sequence
from typing import cast

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from hpml_mm.predictor.data.graph_batch import GraphBatch
from hpml_mm.predictor.gnn.encoders import GraphConv, GraphEncoder
from hpml_mm.predictor.gnn.readout import AIOPHead, graph_mean
from hpml_mm.predictor.gnn.regressor import ScoreModel, build_part
from hpml_mm.predictor.gnn.targets import TargetScaler
from hpml_mm.registry import MODELS

#: Parts that each of AIO-P's fine-tune groups trains. The embedding is always frozen.
FINE_TUNE_GROUPS = {
    0: ('heads',),
    1: ('heads', 'base'),
    2: ('heads', 'base', 'bodies'),
    3: ('heads', 'bodies'),
}


class Adapter(BaseModule):
    """Layers and head of one task, beside the frozen base.

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
        """Vectors of the graphs, (G, 2 width).

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

    The adapters are trained one after another: ``train_task('task')`` leaves this
    adapter alone to be trained, on its own scale. ``tune(group)`` chooses the parts to
    train on a few networks of a target; the score is then the mean of all heads, scaled
    back by the target's own scale.

    Args:
        encoder: Config of an encoder, or that of a trained predictor, which is not
            copied. ``init_cfg=dict(type='Pretrained', prefix='encoder.',
            checkpoint=...)`` in a config takes it from the file of a predictor.
        tasks: Names of the adapters.
        learn: Task whose adapter is trained; None for the target.
        group: With ``learn=None``, the fine-tune group.
        scaling: As in ``ScoreModel``, for each task and the target.
        data_preprocessor: As for any of MMEngine's models.
        init_cfg: As for any of MMEngine's modules.

    Raises:
        ValueError: There is no task, or one is there twice.
    """

    def __init__(
        self,
        encoder: dict | GraphEncoder,
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
        self.encoder = build_part(encoder, GraphEncoder)
        self.tasks = tuple(tasks)
        width, layers = self.encoder.width, len(self.encoder.layers)
        # By number, as a module's name must hold no dot.
        self.adapters = nn.ModuleList(Adapter(width, layers) for _ in self.tasks)
        self.task_scalers = nn.ModuleList(TargetScaler(scaling) for _ in self.tasks)
        self.task: str | None = None
        if learn is None:
            self.tune(group)
        else:
            self.train_task(learn)

    def train_task(self, task: str) -> None:
        """Train one task's adapter, and predict with it alone.

        Raises:
            ValueError: There is no adapter for the task.
        """
        self.requires_grad_(False)
        self.adapters[self._number(task)].requires_grad_(True)
        self.task = task

    def tune(self, group: int) -> None:
        """Fine-tune on the target, and predict the mean of all heads.

        Args:
            group: 0 trains the heads, 1 heads and the base's layers, 2 these and the
                adapters' layers, 3 heads and the adapters' layers.

        Raises:
            ValueError: There is no such group. AIO-P's -1 is a ``GraphRegressor``
                without adapters, all of which is trained.
        """
        if group not in FINE_TUNE_GROUPS:
            raise ValueError(
                f'fine-tune group {group!r} is unknown; there are 0, 1, 2 and 3. For '
                'all parameters without adapters (-1) fine-tune the GraphRegressor'
            )
        parts: dict[str, list[nn.Module]] = {
            'heads': [cast(Adapter, adapter).head for adapter in self.adapters],
            'bodies': [cast(Adapter, adapter).layers for adapter in self.adapters],
            'base': [self.encoder.layers],
        }
        self.requires_grad_(False)
        for part in FINE_TUNE_GROUPS[group]:
            for module in parts[part]:
                module.requires_grad_(True)
        self.task = None

    def outputs(self, batch: GraphBatch) -> Tensor:
        """Scores on the scale of the labels, (G,): of one task, or the mean of all."""
        if self.task is None:
            return self.head_outputs(batch).mean(dim=1)
        states = self._base_states(batch)
        return self.adapters[self._number(self.task)](states, batch)

    def head_outputs(self, batch: GraphBatch) -> Tensor:
        """Scores of each head on the scale of the labels, (G, K)."""
        states = self._base_states(batch)
        return torch.stack([one(states, batch) for one in self.adapters], dim=1)

    def head_inputs(self, batch: GraphBatch) -> list[Tensor]:
        """Vectors of the graphs of each adapter, (G, 2 width)."""
        states = self._base_states(batch)
        return [cast(Adapter, one).vectors(states, batch) for one in self.adapters]

    @property
    def current_scaler(self) -> TargetScaler:
        """Scale of the task that is trained, or of the target."""
        if self.task is None:
            return self.scaler
        return cast(TargetScaler, self.task_scalers[self._number(self.task)])

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
