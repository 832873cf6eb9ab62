# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Process that measures one side: ``python -m hpml_mm.benchmark.worker JOB FD``.

It reads one request a line, as JSON, and answers each with one line to the file
descriptor FD. What is printed goes to the log.
"""

import json
import os
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import torch

from hpml_mm.config.command.errors import clear_errors
from hpml_mm.engine.cpu import setup_cpu
from hpml_mm.utils.env import environment

from .jobs import read_job
from .loop_overhead import open_loop
from .session import Session
from .workload import open_config, open_pipeline


def serve(session: Session, requests: TextIO, replies: TextIO, note: str = '') -> None:
    """Measure a session on each request, until there are no more.

    Each is a JSON object with ``do``: ``prepare`` (warm up, and find the iterations of
    a round), ``round`` or ``profile``. Before all answers comes a line that says what
    this process runs on and how it was set up.
    """
    _reply(replies, {'environment': environment(), 'note': note})
    for line in requests:
        request = json.loads(line)
        _reply(replies, _answer(session, request))


def main() -> None:
    """Measure the job in file ``sys.argv[1]`` until no more is asked for."""
    replies = os.fdopen(int(sys.argv[2]), 'w', encoding='utf-8')
    job = read_job(Path(sys.argv[1]))
    with clear_errors():
        # As tools/train.py does it; what is compared with it goes without.
        ours = job.side.kind == 'config' and job.mode != 'engine'
        note = str(setup_cpu()) if ours else ''
        if job.threads is not None:
            torch.set_num_threads(job.threads)
        answer = partial(serve, requests=sys.stdin, replies=replies, note=note)
        if job.mode == 'engine':
            open_loop(job, answer)
        elif ':' in job.side.kind:
            open_pipeline(job, answer)
        else:
            open_config(job, answer)


def _answer(session: Session, request: dict[str, Any]) -> dict[str, Any]:
    if request['do'] == 'prepare':
        count = session.warm_up(request['warmup'], request['seconds'])
        return {'iterations': request['batches'] or count}
    if request['do'] == 'profile':
        return {'table': session.profile(session)}
    return asdict(session.run(request['iterations']))


def _reply(replies: TextIO, answer: dict[str, Any]) -> None:
    print(json.dumps(answer), file=replies, flush=True)


if __name__ == '__main__':
    main()
