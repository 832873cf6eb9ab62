# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest
from mmengine.utils import deprecated_api_warning
from torch import nn

from hpml_mm.config.signature import Accepted, accepted


class Base:
    def __init__(self, size, *, colour='red'):
        pass


class Forwards(Base):
    def __init__(self, depth, **kwargs):
        super().__init__(**kwargs)


class ForwardsTwice(Forwards):
    def __init__(self, width=1, **kwargs):
        super().__init__(depth=2, **kwargs)


class Inherits(ForwardsTwice):
    pass


class Takes(Base):
    def __init__(self, **kwargs):
        self.old = kwargs.pop('old_name', None)
        if 'flag' in kwargs:
            self.flag = kwargs['flag']
        super().__init__(**kwargs)


class Keeps(Base):
    def __init__(self, depth, **kwargs):
        self.rest = kwargs
        super().__init__(1)


class KeepsAndForwards(Base):
    def __init__(self, **kwargs):
        self.rest = dict(**kwargs)
        super().__init__(**kwargs)


class Swallows:
    def __init__(self, depth, **kwargs):
        pass


class Layer(nn.Module):
    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)


class ByName(Base):
    def __init__(self, depth, **options):
        Base.__init__(self, **options)


class Other(Base):
    def __init__(self, height=1, **kwargs):
        super().__init__(2, **kwargs)


class SkipsOne(Forwards, Other):
    def __init__(self, width=1, **kwargs):
        super(Other, self).__init__(**kwargs)


class CallsBoth(Forwards, Other):
    def __init__(self, **kwargs):
        Forwards.__init__(self, **kwargs)
        Other.__init__(self, **kwargs)


class Renamed(Base):
    @deprecated_api_warning({'shade': 'colour'}, cls_name='Renamed')
    def __init__(self, size, colour='red'):
        super().__init__(size, colour=colour)


class ForwardsToRenamed(Renamed):
    def __init__(self, depth, **kwargs):
        super().__init__(**kwargs)


@deprecated_api_warning({'alpha': 'a'})
def renamed(a):
    pass


def function(a, b=1, *, c=2):
    pass


def open_function(a, **kwargs):
    pass


@pytest.mark.parametrize(
    ('target', 'names', 'complete'),
    [
        (Base, {'size', 'colour'}, True),
        (Forwards, {'depth', 'size', 'colour'}, True),
        (ForwardsTwice, {'width', 'depth', 'size', 'colour'}, True),
        (Inherits, {'width', 'depth', 'size', 'colour'}, True),
        (Takes, {'old_name', 'flag', 'size', 'colour'}, True),
        (ByName, {'depth', 'size', 'colour'}, True),
        (SkipsOne, {'width', 'size', 'colour'}, True),
        (CallsBoth, {'depth', 'height', 'size', 'colour'}, True),
        (Renamed, {'size', 'colour', 'shade'}, True),
        (ForwardsToRenamed, {'depth', 'size', 'colour', 'shade'}, True),
        (renamed, {'a', 'alpha'}, True),
        (Keeps, {'depth'}, False),
        (KeepsAndForwards, set(), False),
        (Swallows, {'depth'}, False),
        (Layer, {'width'}, True),
        (nn.Linear, None, True),
        (function, {'a', 'b', 'c'}, True),
        (open_function, {'a'}, False),
        (print, None, True),
    ],
)
def test_accepted(target, names, complete):
    found = accepted(target)
    assert found.complete is complete
    if names is not None:
        assert found == Accepted(frozenset(names), complete)


def test_a_class_without_constructor_takes_nothing():
    assert accepted(type('Empty', (), {})) == Accepted(frozenset(), True)
