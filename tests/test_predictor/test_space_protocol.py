# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What holds of every search space."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from hpml_mm.predictor.graphs import same, validate
from hpml_mm.predictor.graphs.tracing.trace import trace
from hpml_mm.predictor.spaces import SPACES, Arch, get_space


@pytest.fixture(params=list(SPACES))
def space(request):
    return get_space(request.param)


def samples(space, count, seed=0):
    rng = np.random.default_rng(seed)
    return [space.sample(rng) for _ in range(count)]


def test_samples_are_seeded_and_use_every_choice(space):
    assert samples(space, 5) == samples(space, 5)
    assert samples(space, 5) != samples(space, 5, seed=1)
    archs = samples(space, 200)
    for index, slot in enumerate(space.slots):
        assert {arch.values[index] for arch in archs} == set(slot.choices), slot.name


def test_a_string_is_read_back_and_names_one_network(space):
    for arch in samples(space, 30):
        text = space.encode(arch)
        again = space.decode(text)
        assert again == space.canonical(arch)
        assert space.encode(again) == text
        assert space.decode(f' {text}\n') == again


def test_the_joined_graph_is_the_traced_one(space):
    for arch in samples(space, 2):
        with torch.device('meta'):
            net = space.build(arch)
        shape = (3, space.resolution, space.resolution)
        traced = trace(net, shape, lambda net, image: net(image.to('meta')))
        joined = space.graph(arch)
        validate(joined)
        assert same(joined, traced, names=True)


def test_graph_counts_what_pytorch_counts(space):
    (arch,) = samples(space, 1)
    side = space.resolution // 2
    with torch.device('meta'):
        net = space.build(arch, num_classes=7).eval()
        with FlopCounterMode(display=False) as counter:
            logits = net(torch.empty(1, 3, side, side))
    graph = space.graph(arch, resolution=side, num_classes=7)
    assert logits.shape == (1, 7)
    assert graph.total_macs == counter.get_total_flops() // 2
    assert graph.total_params == sum(p.numel() for p in net.parameters())


def test_networks_of_one_string_have_equal_graphs(space):
    for arch in samples(space, 5):
        assert same(space.graph(arch), space.graph(space.canonical(arch)))


def test_simplifying_twice_changes_nothing_more(space):
    for arch in samples(space, 30):
        simple = space.simplify(arch)
        assert space.simplify(simple) == simple == space.canonical(simple)
        if space.name != 'nas-bench-201':
            assert space.encode(simple) == space.encode(arch)


def test_one_hot_has_one_bit_for_each_slot_that_decides(space):
    for arch in samples(space, 10):
        bits = space.one_hot(arch)
        canonical = space.canonical(arch)
        assert bits.shape == (sum(len(slot.choices) for slot in space.slots),)
        assert bits.sum() == sum(value is not None for value in canonical.values)
        assert (bits == space.one_hot(canonical)).all()


def test_mutation_changes_as_many_slots_as_it_is_told(space):
    (arch,) = (space.canonical(arch) for arch in samples(space, 1))
    rng = np.random.default_rng(0)
    assert space.mutate(arch, rng, p=0) == arch
    everything = space.mutate(arch, rng, p=1)
    free = [len(slot.choices) > 1 for slot in space.slots]
    rows = zip(arch.values, everything.values, free, strict=True)
    if space.name != 'nas-bench-macro':  # Its canonical form changes places.
        assert not any(old == new for old, new, many in rows if many and old)
    for _ in range(50):
        space.validate(space.mutate(arch, rng, p=0.3))
    with pytest.raises(ValueError, match='between 0 and 1, got 2'):
        space.mutate(arch, rng, p=2)


def test_a_value_outside_the_space_is_named_with_slot_and_choices(space):
    (arch,) = samples(space, 1)
    slot = space.slots[0]
    broken = Arch(space.name, (99, *arch.values[1:]))
    listed = ', '.join(map(str, slot.choices))
    with pytest.raises(ValueError, match=f'{slot.name} is 99; allowed are {listed}'):
        space.encode(broken)
    missing = Arch(space.name, (None, *arch.values[1:]))
    for use in (space.build, space.graph, space.one_hot, space.decode):
        with pytest.raises(ValueError, match=f'{slot.name} is missing'):
            use(missing)


def test_an_architecture_of_another_space_is_refused(space):
    with pytest.raises(ValueError, match="is one of 'elsewhere'"):
        space.validate(Arch('elsewhere', ()))
    with pytest.raises(ValueError, match='2 values for'):
        space.validate(Arch(space.name, (1, 2)))


def test_an_input_too_small_for_the_network_is_an_error(space):
    (arch,) = samples(space, 1)
    with pytest.raises(ValueError, match='cannot be traced with an input of'):
        space.graph(arch, resolution=0)


def test_unknown_space():
    with pytest.raises(ValueError, match="no search space 'ofa'; there are ofa-mbv3"):
        get_space('ofa')


def test_a_child_has_each_slot_of_one_of_its_parents(space):
    rng = np.random.default_rng(0)
    for first, second in zip(samples(space, 20), samples(space, 20, 1), strict=True):
        child = space.cross(first, second, rng)
        assert child == space.canonical(child)
        rows = zip(child.values, first.values, second.values, strict=True)
        # NAS-Bench-Macro's canonical form puts layers in another order.
        if space.name != 'nas-bench-macro':
            assert all(value is None or value in pair for value, *pair in rows)
        short = [space.canonical(arch) for arch in (first, second)]
        space.validate(space.cross(*short, rng))
        assert space.cross(first, first, rng) == space.canonical(first)
