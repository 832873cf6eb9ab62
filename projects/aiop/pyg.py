# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""AIO-P's predictor written with torch_geometric, as a baseline for speed.

Parameters and outputs are the same. Graphs are ``Data`` objects, batched by
torch_geometric's loader; layers are its ``GraphConv``.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from hpml_mm.compat import require
from hpml_mm.predictor.data.graph_batch import NodeFeatures
from hpml_mm.predictor.data.graph_set import GraphTable
from hpml_mm.predictor.gnn import GraphConvEncoder, GraphRegressor
from hpml_mm.predictor.gnn.fit import FitSettings, Labelled

require('torch_geometric', 'aiop')
from torch_geometric.data import Batch, Data  # noqa: E402
from torch_geometric.loader import DataLoader  # noqa: E402
from torch_geometric.nn import GraphConv, global_mean_pool  # noqa: E402


class PyGRegressor(nn.Module):
    """Copy of an ``aiop-gnn`` made of torch_geometric's layers.

    Args:
        model: With AIO-P's encoder, whose targets are not scaled.
    """

    def __init__(self, model: GraphRegressor) -> None:
        super().__init__()
        encoder = model.encoder
        assert isinstance(encoder, GraphConvEncoder)
        self.embedding = encoder.embedding
        self.layers = nn.ModuleList(
            GraphConv(encoder.width, encoder.width) for _ in encoder.layers
        )
        self.layers.load_state_dict(encoder.layers.state_dict())
        self.head = model.head

    def forward(self, batch: Batch) -> Tensor:
        """Scores, (G,)."""
        nodes = NodeFeatures(*(batch[name] for name in NodeFeatures._fields))
        states = self.embedding.of_nodes(nodes)
        for layer in self.layers:
            states = torch.tanh(layer(states, batch.edge_index))
        return self.head(global_mean_pool(states, batch.batch))


def pyg_graph(table: GraphTable, index: int, label: float) -> Data:
    """Convert one graph of a table, without merged nodes."""
    batch = table.batch([index])
    kinds = batch.members.kinds.index_select(0, batch.rows)
    links, count = batch.sources, len(batch.rows)
    hears = links.first < count
    targets = torch.cat([torch.arange(count)[hears], links.nodes])
    sources = torch.cat([links.first[hears], links.others])
    return Data(
        **batch.features.take(kinds)._asdict(),
        edge_index=torch.stack([sources, targets]),
        num_nodes=count,
        y=torch.tensor([label], dtype=torch.float32),
    )


def pyg_graphs(data: Labelled) -> list[Data]:
    """Convert labelled networks."""
    rows = zip(data.indices, data.labels, strict=True)
    return [pyg_graph(data.table, index, label) for index, label in rows]


@torch.no_grad()
def pyg_predict(
    model: PyGRegressor, graphs: Iterable[Data], batch_size: int
) -> np.ndarray:
    """Scores of all graphs, (G,)."""
    model.eval()
    loader = DataLoader(graphs, batch_size)
    return torch.cat([model(batch) for batch in loader]).numpy()


def pyg_fit(model: PyGRegressor, graphs: Iterable[Data], settings: FitSettings) -> None:
    """Train as ``gnn.fit.fit`` does with a constant learning rate."""
    torch.manual_seed(settings.seed)
    loader = DataLoader(graphs, settings.batch_size, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.lr)
    model.train()
    for _ in range(settings.epochs):
        for batch in loader:
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(batch), batch.y)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
            optimizer.step()
