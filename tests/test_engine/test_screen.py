# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Lines of the card and of epochs, by their numbers, and the quiet logger."""

import contextlib
import io
import logging
import os
import sys
import warnings

import pytest
from mmengine.hooks import EMAHook, IterTimerHook, ProfilerHook
from mmengine.logging import MMLogger, print_log

from hpml_mm.engine.hooks import AmpHook, GracefulStopHook, ResumeHook, SummaryHook
from hpml_mm.engine.screen.card import switched_on
from hpml_mm.engine.screen.lines import (
    card_line,
    data_parts,
    epoch_line,
    model_parts,
    spoken,
)
from hpml_mm.engine.screen.quiet import ON_SCREEN, quiet, quiet_screen


@pytest.mark.parametrize(
    ('parts', 'text'),
    [
        (
            model_parts('Net', 56_951, 0.0132),
            'Net, 56,951 parameters, 0.0132 GMACs an image and step, backward pass '
            'included',
        ),
        (model_parts('Net', None, None), 'Net'),
        (
            data_parts({'train': 2800, 'validate': None}, 64, 0),
            '2,800 to train, unknown number to validate, batches of 64, no workers',
        ),
        (data_parts({'test': 1}, None, 1), '1 to test, 1 worker'),
        ((), 'unknown'),
    ],
)
def test_the_card_has_what_is_known(parts, text):
    assert card_line('model', *parts) == f'model       {text}'


@pytest.mark.parametrize(
    ('numbers', 'text'),
    [
        ({}, 'epoch 2/8'),
        ({'metric': ('top1', 83.571, 95.238)}, 'epoch 2/8  top1 83.57 (best 95.24)'),
        ({'metric': ('AP', 0.29823, 0.29823)}, 'epoch 2/8  AP 0.2982 (best so far)'),
        ({'metric': ('top1', None, None)}, 'epoch 2/8  top1 unknown'),
        (
            {'loss': 0.07, 'speed': 1336.4, 'seconds': 11.4, 'remaining': 4010.0},
            'epoch 2/8  loss 0.0700  1,336 images/s  0:00:11  ETA 1:06:50',
        ),
    ],
)
def test_the_line_of_an_epoch(numbers, text):
    assert epoch_line('epoch 2/8', **numbers) == text


def test_hooks_are_named_by_what_they_switch_on():
    class TheirsHook(IterTimerHook):
        switched_on = True  # of another meaning

    hooks = [IterTimerHook(), EMAHook(), AmpHook(), SummaryHook(), GracefulStopHook()]
    hooks += [ResumeHook(exact=False), ProfilerHook(), TheirsHook(), EMAHook()]
    expected = ['EMA', 'mixed precision', 'graceful stop', 'profiler']
    assert switched_on(hooks) == expected
    assert switched_on([ResumeHook()]) == ['exact resume']
    assert spoken('EMAHook') == 'EMA'
    assert spoken('MyOwnThingHook') == 'my own thing'


@pytest.fixture
def logger(tmp_path, request):
    """A logger whose screen is a text, and the file that has all of it."""
    screen = io.StringIO()
    with contextlib.redirect_stdout(screen):
        name = request.node.name
        logger = MMLogger(name, log_file=str(tmp_path / 'log'), log_level='INFO')
    logger.screen, logger.path = screen, tmp_path / 'log'
    return logger


def test_a_quiet_logger_shows_warnings_once_and_marked_lines(logger):
    undo = quiet(logger)
    quiet(logger)()  # is quiet already: undoes nothing
    logger.info('Hooks will be executed')
    logger.info('epoch 1/2', extra=ON_SCREEN)
    for level in (logging.WARNING, logging.ERROR) * 2:
        logger.log(level, 'it is late')
        logger.log(level, '"FileClient" will be Deprecated')
    shown = ['epoch 1/2', 'warning: it is late']
    assert logger.screen.getvalue().splitlines() == shown
    undo()
    logger.info('as before')
    assert logger.screen.getvalue().splitlines()[2].endswith('INFO - as before')
    file = logger.path.read_text()
    for text in ('Hooks will', 'epoch 1/2', 'it is late', 'FileClient', 'as before'):
        assert text in file


def test_loggers_made_in_a_quiet_screen_are_quiet_from_their_first_line(capsys):
    before = MMLogger.__init__
    with quiet_screen():
        logger = MMLogger.get_instance('in_a_quiet_screen')
        logger.info('Config: ...')
        warnings.warn('use something\nelse', UserWarning, stacklevel=1)
        warnings.warn('goes away', FutureWarning, stacklevel=1)
        print_log('a line', 'current', logging.WARNING)
    assert MMLogger.__init__ is before
    shown = capsys.readouterr()
    first, second = shown.out.splitlines()
    assert first.startswith('warning: use something else (UserWarning of ')
    assert second == 'warning: a line'
    assert shown.err == ''


def test_the_reader_of_a_pipe_may_leave(logger, capsys):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, 'w', buffering=1) as pipe:
        logger.handlers[0].setStream(pipe)
        quiet(logger)
        for number in range(3):
            logger.info(f'line {number}', extra=ON_SCREEN)
    assert capsys.readouterr().err.splitlines() == [
        'the reader of the output has left: the run goes on'
    ]
    assert 'line 2' in logger.path.read_text()
    assert not isinstance(sys.exception(), BrokenPipeError)


def test_the_reader_of_both_streams_may_leave(logger, monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, 'w', buffering=1) as pipe:
        logger.handlers[0].setStream(pipe)
        monkeypatch.setattr(sys, 'stderr', pipe)
        quiet(logger)
        logger.info('line', extra=ON_SCREEN)
        print('later', file=sys.stderr)
    assert 'line' in logger.path.read_text()
