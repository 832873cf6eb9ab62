# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Decoders of TransNAS-Bench-101's seven tasks.

Scenes, objects and room layouts get a linear layer on the pooled features; a jigsaw
puzzle one on the features of its nine tiles; semantic segmentation, surface normals and
the autoencoder a stack of convolutions and transposed ones that gives an image of the
input's size.
"""

import functools
from collections.abc import Callable

from torch import Tensor, nn

from hpml_mm.predictor.graphs import Graph
from hpml_mm.predictor.spaces.blocks import Classifier, GlobalPool
from hpml_mm.predictor.spaces.chain import Layer, bare

#: Classes, coordinates or channels that each task's decoder gives.
TASKS = {
    'class_scene': 63,
    'class_object': 100,
    'room_layout': 9,
    'jigsaw': 1000,
    'segmentsemantic': 17,
    'normal': 3,
    'autoencoder': 3,
}
#: Tiles of a puzzle along each side.
TILES = 3
_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    'leaky': functools.partial(nn.LeakyReLU, 0.2),
    'tanh': nn.Tanh,
}


class Tiles(nn.Module):
    """Cut an image into square tiles, which are the images of a larger batch.

    Args:
        count: Tiles along each side.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, k H, k W) to (N k k, C, H, W), row by row."""
        rows = x.unflatten(2, (self.count, -1)).unflatten(4, (self.count, -1))
        return rows.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)

    @staticmethod
    def part_graph(args: tuple, input_shape: tuple[int, int, int]) -> Graph:
        """Make a graph without nodes, whose output is one tile.

        Raises:
            ValueError: The image cannot be cut evenly.
        """
        (count,), (channels, *sides) = args, input_shape
        if any(side < count or side % count for side in sides):
            raise ValueError(
                f'an image of {sides[0]}x{sides[1]} cannot be cut into {count}x{count} '
                f'tiles: its sides must be multiples of {count}'
            )
        return bare(input_shape, (channels, *(side // count for side in sides)))


class Assembly(nn.Module):
    """Put the features of an image's tiles one behind the other.

    Args:
        count: Number of tiles.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, x: Tensor) -> Tensor:
        """Map (N tiles, C, 1, 1) to (N, tiles C, 1, 1)."""
        return x.reshape(-1, self.count * x.shape[1], 1, 1)

    @staticmethod
    def part_graph(args: tuple, input_shape: tuple[int, int, int]) -> Graph:
        """Make a graph without nodes."""
        channels, *sides = input_shape
        return bare(input_shape, (args[0] * channels, *sides))


class DecoderConv(nn.Sequential):
    """A 3x3 convolution with bias, BatchNorm and an activation.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        double: True for a transposed convolution, which doubles the sides.
        act: 'leaky', 'tanh' or empty for none; only behind 'leaky' a BatchNorm comes
            first.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        double: bool = False,
        act: str = 'leaky',
    ) -> None:
        super().__init__()
        sizes = in_channels, out_channels, 3
        self.conv: nn.Module = (
            nn.ConvTranspose2d(*sizes, 2, 1, output_padding=1)
            if double
            else nn.Conv2d(*sizes, 1, 1)
        )
        if act == 'leaky':
            self.norm = nn.BatchNorm2d(out_channels)
        if act:
            self.act = _ACTIVATIONS[act]()


def decoder(task: str, channels: int, halvings: int, num_outputs: int) -> list[Layer]:
    """List the layers of a task's decoder.

    Args:
        task: One of ``TASKS``.
        channels: Channels of the features.
        halvings: Number of times that the body halved the sides, 3 to 6.
        num_outputs: Classes, coordinates or channels.
    """
    pool = Layer('avgpool', GlobalPool)
    if task == 'jigsaw':
        tiles = TILES**2
        return [
            pool,
            Layer('assembly', Assembly, (tiles,)),
            Layer('decoder', Classifier, (tiles * channels, num_outputs, 0.0)),
        ]
    if task == 'segmentsemantic':
        stack = _segmentation(channels, halvings)
        last: tuple = (stack[-1][1], num_outputs, False, '')
    elif task in ('normal', 'autoencoder'):
        stack = _generation(channels, halvings)
        last = (stack[-1][1], num_outputs, False, 'tanh')
    else:
        return [
            pool,
            Layer('decoder', Classifier, (channels, num_outputs, 0.0)),
        ]
    return [
        Layer(f'decoder.{index}', DecoderConv, args)
        for index, args in enumerate([*stack, last])
    ]


def _segmentation(channels: int, halvings: int) -> list[tuple[int, int, bool]]:
    """Arguments of seven layers: channels are halved, first at the same sides."""
    stack = [(channels, 1024, False)]
    for index in range(5):
        width = stack[-1][1]
        stack.append((width, width // 2, index >= 6 - halvings))
    width = stack[-1][1]
    return [*stack, (width, width, True)]


def _generation(channels: int, halvings: int) -> list[tuple[int, int, bool]]:
    """Arguments of thirteen layers; at four of them sides may or may not double."""
    widths = 1024, 1024, 512, 512, 256, 128, 64, 64, 32, 32, 16, 32, 16
    doubling = {10, 12}
    doubling |= {
        place for place, least in ((8, 3), (6, 4), (4, 5), (2, 6)) if halvings >= least
    }
    pairs = zip((channels, *widths), widths, strict=False)
    return [(*pair, index in doubling) for index, pair in enumerate(pairs)]
