# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Start processes as torchrun does, and say in one line how they ended.

python -m hpml_mm.cli.torchrun [arguments of torchrun] SCRIPT [its arguments]

It passes SIGUSR1 and SIGUSR2 on as well, with which schedulers warn of a job's end,
and leaves SIGHUP ignored where ``nohup`` ignores it.
"""

import logging
import signal
import sys

from .early_signals import end_with_one_line

_PASSED_ON = ('SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2')


def main() -> None:
    end_with_one_line()
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    # It repeats, as the last line of a log, what is said below in words.
    logging.getLogger('torch.distributed.elastic.multiprocessing.api').setLevel(
        logging.CRITICAL
    )
    passed_on = ','.join(
        name
        for name in _PASSED_ON
        if signal.getsignal(getattr(signal, name)) is not signal.SIG_IGN
    )
    try:
        run.main([f'--signals-to-handle={passed_on}', *sys.argv[1:]])
    except SignalException as stop:
        print(f'{stop.sigval.name}: all processes have ended', file=sys.stderr)
        sys.exit(128 + stop.sigval)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        code = failure.exitcode
        options = run.parse_args(sys.argv[1:])
        alone = options.nnodes in ('1', '1:1') and options.nproc_per_node == '1'
        if alone and code > 0:  # the last line of a log is its own cause
            sys.exit(code)
        how = f'with exit code {code}' if code > 0 else f'by {failure.signal_name()}'
        print(
            f'process {rank} of the training ended {how}, and so the others were ended',
            file=sys.stderr,
        )
        sys.exit(code if code > 0 else 128 - code)


if __name__ == '__main__':
    main()
