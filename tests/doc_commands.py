# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Commands, outputs and files that the documents show, as they are found there.

- A ``bash`` block holds commands, a line each; ``\\`` continues one.
- A ``console`` block holds commands after ``$`` and what each prints on stdout. It is
  compared as doctest does: ``...`` stands for any text, and spaces and line breaks are
  alike. ``<!-- numbers vary -->`` over the block makes all numbers alike.
- A ``python`` block that begins with ``# NAME.py`` is that file, for the commands of
  its document.
"""

import doctest
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = tuple(
    str(path.relative_to(ROOT))
    for glob in (
        *('README.md', 'CONTRIBUTING.md', 'docs/*.md'),
        *('configs/README.md', 'configs/*/README.md', 'projects/*/README.md'),
    )
    for path in sorted(ROOT.glob(glob))
)
_BLOCK = re.compile(
    r'^(<!-- numbers vary -->\n)?```(bash|console|python)\n(.*?)^```',
    re.MULTILINE | re.DOTALL,
)
# A command with its continuations, and what follows.
_LINE = re.compile(r'((?:[^\n]*\\\n)*[^\n]*)\n?(.*)', re.DOTALL)
_FILE = re.compile(r'# (\S+\.py)\n')
#: What no test runs, and why.
NOT_RUN = {
    'make ': 'CI runs the tests through one of them',
    'tensorboard ': 'never ends; a test of its own starts and stops it',
    'python -m projects.gpu --dry-run': 'test_gpu_proof.py runs it, with more stages',
    'hpml data duplicates data/fer2013': 'test_find_duplicates.py counts what it finds',
    'optuna-dashboard ': 'never ends; test_search_dashboard.py starts and stops one',
    'hpml train projects/aiop/configs/supernet_': 'test_supernet.py trains a small one',
    'hpml train projects/aiop/configs/shared-head': 'test_shared_head.py trains both',
    'python -m projects.aiop.shared_head': 'test_shared_head.py runs it on ten images',
    'python -m projects.aiop.labels': 'test_label_noise.py judges small tables by it',
}
#: What makes a training short: one batch of each loader, and one epoch.
SHORT = [
    f'{loader}_dataloader.batch_sampler.{setting}'
    for loader in ('train', 'val')
    for setting in ('type=hpml_mm.LimitedBatchSampler', 'num_batches=1')
] + ['train_cfg.max_epochs=1']
#: What is added to a command, or put after the option that it has.
SHORTER = {
    'hpml sweep': {'--work-dir': 'work_dirs/test_docs'},
    'hpml grid': {'--work-dir': 'work_dirs/test_docs/grid'},
    'hpml benchmark': {'--rounds': '1', '--batches': '1', '--warmup': '1'},
    'python -m projects.checkpoint_stall': {'--rounds': '1', '--saves': '2'},
    'python -m projects.large_images': {'--side': '32'},
    'hpml quantize': {'--latency-seconds': '0', '--max-drop': 'none'},
    'hpml nas search': {'--trials': '100'},
    'hpml nas label': {'-n': '1'},
    'python -m projects.aiop.tasks': {'--methods': 'ridge', '--draws': '1'},
    'hpml nas train': {'-n': '50'},
    'hpml tune': {'--seconds': '0.1'},
    'hpml search': {'--trials': '1', '--seeds': '1', '--repeat': '0'},
    'python -m projects.light_fer': {
        '--target': '0',
        '--data-root': 'faces',
        '--workers': '0',
    },
}
TRAINS = (
    *('tools/train.py', 'tools/dist_train.sh', 'tools/sbatch_train.sh'),
    'tools/slurm_train.sh',
)


@dataclass(frozen=True)
class Command:
    """A command of a document; ``output`` is None where none is shown."""

    document: str
    line: str
    output: str | None = None
    numbers_vary: bool = False

    @property
    def reason_not_to_run(self) -> str | None:
        return next(
            (why for start, why in NOT_RUN.items() if self.line.startswith(start)), None
        )

    def shows(self, printed: str) -> bool:
        """True if the document shows what was printed."""
        texts = [self.output or '', printed]
        if self.numbers_vary:
            texts = [_without_numbers(text) for text in texts]
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        return doctest.OutputChecker().check_output(*texts, flags)


def _without_numbers(text: str) -> str:
    """Text with one sign for any number, and lines of tables as long in any width."""
    return re.sub(r'([─━═])\1+', r'\1', re.sub(r'\d[\d,.]*', '#', text))


def commands() -> list[Command]:
    """All of them; one that several documents show without output is there once."""
    found: dict[tuple[str, str | None], Command] = {}
    for document in DOCUMENTS:
        text = (ROOT / document).read_text(encoding='utf-8')
        for vary, kind, block in _BLOCK.findall(text):
            if kind == 'bash':
                for line in _joined(block).splitlines():
                    line = line.partition('  # ')[0]
                    if line.strip() and not line.startswith('#'):
                        command = Command(document, ' '.join(line.split()))
                        found.setdefault((command.line, None), command)
            elif kind == 'console':
                for part in re.split(r'^\$ ', block, flags=re.MULTILINE)[1:]:
                    line, output = _LINE.fullmatch(part).groups()
                    line = _joined(line)
                    found[line, output] = Command(document, line, output, bool(vary))
    return list(found.values())


def _joined(text: str) -> str:
    """Text whose continued lines are one."""
    return re.sub(r' *\\\n *', ' ', text)


def files(document: str) -> dict[str, str]:
    """Files that a document shows whole, by their names."""
    text = (ROOT / document).read_text(encoding='utf-8')
    blocks = [block for _, kind, block in _BLOCK.findall(text) if kind == 'python']
    return {name[1]: block for block in blocks if (name := _FILE.match(block))}


def words_of(line: str) -> tuple[dict[str, str], list[str]]:
    """Variables that stand before a command, and its words."""
    words, variables = shlex.split(line), {}
    while re.match(r'[A-Z_]+=', words[0]):
        name, _, variables[name] = words.pop(0).partition('=')
    return variables, words


def shortened(words: list[str]) -> list[str]:
    """The words, with the options that make a command short."""
    words = list(words)
    trains = words[:2] == ['hpml', 'train'] or any(tool in words for tool in TRAINS)
    if trains:
        words.append('--cut-short')
    searches = words[:2] == ['hpml', 'search']
    if trains or searches or words[:3] == ['hpml', 'nas', 'label']:
        if '--cfg-options' not in words:
            words.append('--cfg-options')
        at = words.index('--cfg-options') + 1
        words[at:at] = SHORT
    for start, options in SHORTER.items():
        if words[: len(start.split())] == start.split():
            for option, value in options.items():
                if option in words:
                    words[words.index(option) + 1] = value
                else:
                    words += [option, value]
    if words[0] == 'hpml' and words[1] in ('sweep', 'grid'):
        return _with_short_runs(words)
    labels = words[:3] == ['hpml', 'nas', 'label']
    return _with_first_seed(words) if labels else words


def _with_first_seed(words: list[str]) -> list[str]:
    """The words with the first of several ``--seeds``."""
    at = words.index('--seeds') + 2
    while words[at].isdigit():
        del words[at]
    return words


def _with_short_runs(words: list[str]) -> list[str]:
    """A comparison of one round, or of its first seed, with short trainings."""
    if '--iters' in words:
        words[words.index('--iters') + 1] = '12'
        return [*words, '--rounds', '1']
    words = _with_first_seed(words)
    if words[1] == 'grid':
        return [*words, '--cfg-options', *SHORT]
    for place in reversed(range(len(words))):
        if words[place] == '--variant':
            words[place + 3 : place + 3] = SHORT
    return words
