# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Whether this machine's CPU multiplies INT8 well."""

import platform
import warnings
from pathlib import Path

_FLAGS = {'avx512_vnni', 'avx_vnni', 'amx_int8'}


def has_vnni(cpuinfo: Path = Path('/proc/cpuinfo')) -> bool | None:
    """Whether the CPU multiplies and adds bytes in one instruction.

    Args:
        cpuinfo: Where Linux tells the CPU's flags.

    Returns:
        None where that is not known, or where it is no x86 and the question is moot.
    """
    if platform.machine().lower() not in ('x86_64', 'amd64') or not cpuinfo.is_file():
        return None
    for line in cpuinfo.read_text(encoding='utf-8', errors='replace').splitlines():
        if line.startswith('flags'):
            return bool(_FLAGS & set(line.partition(':')[2].split()))
    return None


def needs_reduced_range(cpuinfo: Path = Path('/proc/cpuinfo')) -> bool:
    """Whether weights must do with 7 bits; warns where they must.

    Without VNNI, x86 adds two products of a byte and a signed byte in 16 bits, and
    what does not fit is cut off. Half the range of weights is enough to avoid it.

    Args:
        cpuinfo: See :func:`has_vnni`.
    """
    if has_vnni(cpuinfo) is not False:
        return False
    warnings.warn(
        'this CPU has no VNNI: weights get 7 bits instead of 8, so that sums of INT8 '
        'products do not overflow, and INT8 may be no faster than FP32. Convert on a '
        'CPU of the kind that the model will run on',
        stacklevel=2,
    )
    return True
