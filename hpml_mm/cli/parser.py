# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Parser of the command line whose errors are one line with a remedy."""

import argparse
import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

USER_ERROR = 2


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Formatter that keeps the lines of a description and shows defaults."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help
        switch = action.nargs == 0
        hidden = switch or action.default in (None, argparse.SUPPRESS, '')
        known = hidden or action.default == {} or action.default == ()
        if text is None or known or '%(default)' in text or not action.option_strings:
            return text
        return f'{text} (default: %(default)s)'


class Parser(argparse.ArgumentParser):
    """Parser whose errors are one line: what is wrong, what is meant, where help is."""

    def parse_all(self, argv: Sequence[str]) -> argparse.Namespace:
        """Parse, and have the command that was chosen complain of unknown words."""
        args, unknown = self.parse_known_args(argv)
        if unknown:
            getattr(args, 'parser', self).refuse(unknown)
        return args

    def refuse(self, words: Sequence[str]) -> NoReturn:
        """End with the words that this command does not know."""
        options = [name for name in self._option_string_actions if name != '-h']
        hints = [nearest(word.partition('=')[0], options) for word in words]
        hint = next(filter(None, hints), '')
        self.error(f'unknown: {" ".join(words)}{hint}')

    def error(self, message: str) -> NoReturn:
        """End with exit code 2 and one line."""
        choice = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if choice:
            message += nearest(choice[1], re.findall(r"[^', ]+", choice[2]))
        message = re.sub(r'invalid (\w+) value', _meaning, message)
        self.exit(USER_ERROR, f'error: {message}; see {self.prog} --help\n')


def nearest(word: str, known: Iterable[str]) -> str:
    """Hint at the most similar of the known words; empty where none is alike."""
    found = difflib.get_close_matches(word, list(known), n=1)
    return f'; did you mean {found[0]!r}?' if found else ''


def _meaning(found: re.Match) -> str:
    kinds = {'int': 'a whole number', 'float': 'a number', 'Path': 'a path'}
    meaning: Any = kinds.get(found[1])
    return f'must be {meaning}, not' if meaning else 'invalid value'
