# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Run ``hpml nas`` in this process."""

import pytest

from hpml_mm.cli import main


def printed(capsys, *arguments) -> list[str]:
    """What a command prints, by lines."""
    main(['nas', *map(str, arguments)])
    return capsys.readouterr().out.splitlines()


def refused(capsys, *arguments) -> str:
    """The one line by which a command says what is wrong."""
    with pytest.raises(SystemExit) as caught:
        main(['nas', *map(str, arguments)])
    assert caught.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    (line,) = [line for line in lines if line.startswith('error: ')]
    return line
