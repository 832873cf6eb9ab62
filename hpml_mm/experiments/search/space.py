# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Search space: a config file that gives dotted keys the values they may take."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from mmengine.config import Config

from hpml_mm.config.check import check_config
from hpml_mm.config.lookup import nearest
from hpml_mm.config.overrides import apply_options, read_config, value_at
from hpml_mm.utils.messages import listed

_KEYS = {
    'float': {'low', 'high', 'log', 'step', 'when'},
    'int': {'low', 'high', 'log', 'step', 'when'},
    'choice': {'choices', 'when'},
}
_PLAIN = (str, int, float, bool, type(None))


@dataclass(frozen=True)
class Parameter:
    """Dotted key of a config and the values that it may take.

    Attributes:
        key: Dotted key.
        kind: ``'float'``, ``'int'`` or ``'choice'``.
        low: Least value.
        high: Greatest value.
        log: True to draw evenly on a scale of logarithms.
        step: Distance between two values; None for any.
        choices: Label of each choice to its value.
        when: Other keys, and the labels or values with which this one counts.
    """

    key: str
    kind: str
    low: float = 0
    high: float = 0
    log: bool = False
    step: float | None = None
    choices: Mapping[Any, Any] = field(default_factory=dict)
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def counts(self, chosen: Mapping[str, Any]) -> bool:
        """Return whether it counts beside the parameters chosen before it."""
        return all(chosen.get(key, ()) in held for key, held in self.when.items())

    def suggest(self, trial: Any) -> Any:
        """Have a trial of Optuna choose: a number, or the label of a choice."""
        if self.kind == 'choice':
            return trial.suggest_categorical(self.key, list(self.choices))
        draw = trial.suggest_int if self.kind == 'int' else trial.suggest_float
        step = {} if self.step is None else {'step': self.step}
        return draw(self.key, self.low, self.high, log=self.log, **step)

    def grid(self) -> list[Any]:
        """List all values for a grid search.

        Raises:
            ValueError: There is no end to them.
        """
        if self.kind == 'choice':
            return list(self.choices)
        step = self.step or (1 if self.kind == 'int' and not self.log else None)
        if step is None:
            raise ValueError(
                f'{self.key}: a grid takes choices, or numbers with a step, '
                f'not any {self.kind} from {self.low} to {self.high}'
            )
        count = int((self.high - self.low) / step + 1e-9) + 1
        values = [self.low + step * number for number in range(count)]
        return [int(value) for value in values] if self.kind == 'int' else values

    def ends(self) -> list[Any]:
        """List its choices, or its least and greatest number."""
        return list(self.choices) if self.kind == 'choice' else [self.low, self.high]


@dataclass(frozen=True)
class Space:
    """Parameters in the order in which they are chosen and applied.

    Attributes:
        parameters: Each comes after those that it depends on.
    """

    parameters: tuple[Parameter, ...]

    def suggest(self, trial: Any) -> dict[str, Any]:
        """Have a trial choose all that count, see :meth:`Parameter.suggest`."""
        chosen: dict[str, Any] = {}
        for one in self.parameters:
            if one.counts(chosen):
                chosen[one.key] = one.suggest(trial)
        return chosen

    def options(self, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Overrides of a config that stand for what was chosen, in their order."""
        return {
            one.key: one.choices[chosen[one.key]]
            if one.kind == 'choice'
            else chosen[one.key]
            for one in self.parameters
            if one.key in chosen
        }

    def corners(self) -> Iterator[dict[str, Any]]:
        """Choices that name every parameter, and take every choice once."""
        labels: dict[str, list[Any]] = {}
        for one in self.parameters:
            labels[one.key] = one.ends()
        deciding = {key for one in self.parameters for key in one.when}
        decided = [one for one in self.parameters if one.key in deciding]
        for values in product(*(labels[one.key] for one in decided)):
            given = dict(zip((one.key for one in decided), values, strict=True))
            for number in range(max(map(len, labels.values()))):
                chosen: dict[str, Any] = {}
                for one in self.parameters:
                    if one.counts(chosen):
                        held = labels[one.key]
                        value = held[number % len(held)]
                        chosen[one.key] = given.get(one.key, value)
                yield chosen


def read_space(path: Path) -> Space:
    """Read a space: the variable ``space`` of a Python config.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It has no space, or a parameter of it is impossible.
    """
    if not path.is_file():
        raise FileNotFoundError(f'--space: no file {str(path)!r}')
    try:
        held = Config.fromfile(path).get('space')
    except Exception as error:  # a config is the user's own code: any may come
        reason = f'{type(error).__name__}: {" ".join(str(error).split())}'
        raise ValueError(f'cannot load the space {path}: {reason}') from error
    if not isinstance(held, Mapping) or not held:
        raise ValueError(
            f"{path}: set space = {{'optim_wrapper.optimizer.lr': dict(type='float', "
            'low=1e-4, high=0.1, log=True)}'
        )
    parameters: list[Parameter] = []
    for key, given in held.items():
        parameters.append(_parameter(path, key, given, parameters))
    return Space(tuple(parameters))


def check_space(space: Space, config: str, fixed: Mapping[str, Any]) -> None:
    """Apply every choice to the config, before the first trial.

    Args:
        space: Space to check.
        config: File, or ``package::name``.
        fixed: Overrides of all trials.

    Raises:
        ValueError: A key is misspelt, or a value cannot be applied.
    """
    cfg = read_config(config)
    apply_options(cfg, dict(fixed))
    check_config(cfg)  # what is wrong without the space is not its fault
    seen: list[dict[str, Any]] = []
    for chosen in space.corners():
        options = space.options(chosen)
        if options in seen:
            continue
        seen.append(options)
        cfg = read_config(config)
        apply_options(cfg, dict(fixed))
        try:
            apply_space(cfg, options)
            check_config(cfg)
        except ValueError as error:
            shown = ' '.join(f'{key}={value}' for key, value in chosen.items())
            raise ValueError(f'the space with {shown}: {error}') from error


def apply_space(cfg: Config, options: Mapping[str, Any]) -> None:
    """Apply what was chosen to a config, one key after the other.

    A dict replaces the whole one that was there: what its type does not know would
    stay otherwise.

    Raises:
        ValueError: A key is misspelt, or has no place in the config.
    """
    for key, value in options.items():
        if isinstance(value, Mapping) and isinstance(value_at(cfg, key), Mapping):
            value = {**value, '_delete_': True}
        apply_options(cfg, {key: value})


def _parameter(
    path: Path, key: str, given: Any, before: Sequence[Parameter]
) -> Parameter:
    place = f'{path}: {key}'
    kind = given.get('type') if isinstance(given, Mapping) else None
    if kind not in _KEYS:
        raise ValueError(
            f"{place}: type is {kind!r}; write dict(type='float'|'int'|'choice', ...)"
        )
    values = {name: value for name, value in given.items() if name != 'type'}
    for name in values:
        if name not in _KEYS[kind]:
            right = nearest(name, _KEYS[kind])
            hint = f'; did you mean {right!r}?' if right else ''
            raise ValueError(
                f'{place}: {kind} knows {listed(sorted(_KEYS[kind]))}, '
                f'not {name!r}{hint}'
            )
    when = _conditions(place, values.pop('when', {}), before)
    if kind == 'choice':
        choices = _choices(place, values.get('choices'))
        return Parameter(key, kind, choices=choices, when=when)
    _check_numbers(place, kind, values)
    return Parameter(key, kind, when=when, **values)


def _check_numbers(place: str, kind: str, values: Mapping[str, Any]) -> None:
    low, high, step = (values.get(name) for name in ('low', 'high', 'step'))
    wanted = int if kind == 'int' else (int, float)
    numbers: list[Any] = [low, high] if step is None else [low, high, step]
    whole = all(
        isinstance(one, wanted) and not isinstance(one, bool) for one in numbers
    )
    if not whole or numbers[0] >= numbers[1] or (step is not None and step <= 0):
        raise ValueError(
            f'{place}: low is {low!r}, high {high!r} and step {step!r}; they are '
            f'numbers of type {kind}, low below high, step above 0'
        )
    if values.get('log') and (numbers[0] <= 0 or step is not None):
        raise ValueError(
            f'{place}: log=True needs low above 0 and no step, not low={low} and '
            f'step={step}'
        )


def _choices(place: str, given: Any) -> dict[Any, Any]:
    """Labels of choices to their values; a plain value is its own label."""
    if isinstance(given, Mapping):
        choices = dict(given)
    elif isinstance(given, Sequence) and not isinstance(given, str):
        choices = {}
        for value in given:
            if not isinstance(value, _PLAIN):
                raise ValueError(
                    f'{place}: the choice {value!r} needs a label: '
                    'choices=dict(LABEL=VALUE)'
                )
            if value in choices:
                raise ValueError(f'{place}: the choice {value!r} is there twice')
            choices[value] = value
    else:
        choices = {}
    if len(choices) < 2:
        raise ValueError(f'{place}: choices is {given!r}; give at least two')
    return choices


def _conditions(
    place: str, given: Any, before: Sequence[Parameter]
) -> dict[str, tuple[Any, ...]]:
    known = {one.key: one for one in before}
    found = {}
    if not isinstance(given, Mapping):
        raise ValueError(
            f"{place}: when is {given!r}; write when={{'KEY BEFORE IT': CHOICE}}"
        )
    for key, value in given.items():
        if key not in known:
            raise ValueError(
                f'{place}: when names {key!r}, which is no parameter before it'
            )
        held = tuple(value) if isinstance(value, list | tuple) else (value,)
        other = known[key]
        if other.kind != 'choice':
            raise ValueError(f'{place}: when names {key!r}, which is no choice')
        for one in held:
            if one not in other.choices:
                raise ValueError(
                    f'{place}: when {key} is {one!r}, which is none of its choices '
                    f'{listed(list(other.choices))}'
                )
        found[key] = held
    return found
