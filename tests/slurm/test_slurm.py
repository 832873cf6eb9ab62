# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Jobs by the executor for SLURM on a real SLURM."""

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from loopback import CPUS, NODES, Slurm, missing_programs
from toy_tools import DATA, ROOT, TOY, environment, run_tool

from hpml_mm.experiments.executors import Ended, running
from hpml_mm.experiments.executors.choice import parse_executor
from hpml_mm.experiments.jobs import Job
from hpml_mm.experiments.overview import overview
from hpml_mm.experiments.owner import Owner
from hpml_mm.experiments.records import prepare
from hpml_mm.experiments.squeue import queue_of

pytestmark = pytest.mark.system
# Long enough to be met in the first start, half a second an iteration; the second
# start takes no time.
SLOW = ('default_hooks.slow.type=SlowStartHook', 'train_cfg.max_epochs=40')
# A start takes seconds, and a minute where the machine does more than this.
PATIENCE = 400


@pytest.fixture(scope='module')
def cluster():
    yield from started(accounting=True)


@pytest.fixture
def cluster_without_accounting():
    yield from started(accounting=False)


def started(accounting):
    if missing := missing_programs():
        pytest.skip(f'no SLURM on this machine: apt install {" ".join(missing)}')
    if os.geteuid() != 0:
        pytest.skip('several nodes on one machine need root')
    pytest.importorskip('submitit')
    with Slurm(accounting) as slurm:
        yield slurm


@pytest.fixture(autouse=True)
def surroundings(request, monkeypatch):
    """This process finds the cluster, and its jobs find the toy parts."""
    fixture = next(name for name in request.fixturenames if name.startswith('cluster'))
    slurm = request.getfixturevalue(fixture)
    for name, value in environment(**slurm.environment).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join([str(ROOT), str(DATA)]))
    monkeypatch.syspath_prepend(str(DATA))
    queue_of.cache_clear()  # numbers of another cluster's jobs


def settings(folder: Path, **values: object) -> Path:
    path = folder / 'slurm.py'
    lines = [
        f'{k} = {v!r}' for k, v in {'time': 60, 'cpus_per_task': 1, **values}.items()
    ]
    path.write_text('\n'.join(lines))
    return path


def job(folder: Path, *options: str) -> Job:
    words = ('--cfg-options', *options) if options else ()
    return Job(folder, (str(TOY), *words))


def until(met: Callable[[], object], of: Sequence[Job] = ()) -> None:
    """Wait; what jobs have printed is shown where it takes too long."""
    end = time.monotonic() + PATIENCE
    while not met():
        if time.monotonic() > end:
            logs = [one.log.read_text() for one in of if one.log.exists()]
            raise TimeoutError(f'{met}: {logs}')
        time.sleep(0.3)


def run(folder: Path, jobs: Sequence[Job], meanwhile=None, **values) -> list[Ended]:
    """Run jobs to their ends; ``meanwhile`` is called once when all of them train."""
    executor = parse_executor('slurm', settings(folder, **values), folder)
    ends: list[Ended] = []
    with running(executor):
        for one in jobs:
            prepare(one)
            assert executor.start(one)
        executor.ended()  # submits them
        if meanwhile is not None:
            until(
                lambda: all((one.directory / 'epoch_1.pth').exists() for one in jobs),
                jobs,
            )
            meanwhile()

        def all_ended():
            ends.extend(executor.ended())
            return len(ends) == len(jobs)

        until(all_ended, jobs)
    return ends


def number(of: Job) -> str:
    owner = Owner.read(of.owner)
    assert owner is not None
    return owner.slurm


def check_resumed(end: Ended, source: str) -> None:
    """It has all its epochs, and its second start had those of the first."""
    assert end.summary is not None, end.reason
    assert end.summary['status'] == 'finished'
    log = end.job.log.read_text()
    (start,) = [line for line in log.splitlines() if line.startswith('start ')][1:]
    assert source in start
    # 6 iterations an epoch; the first start's half seconds are not done again.
    scalars = [
        json.loads(line)
        for path in end.job.directory.glob('*/vis_data/scalars.json')
        for line in path.read_text().splitlines()
    ]
    assert {one['step'] for one in scalars if 'accuracy/top1' in one} == set(
        range(1, 41)
    )


def test_a_grid_is_one_array(cluster, tmp_path):
    place = tmp_path / 'grid'
    done = run_tool(
        *('grid', TOY, '--seeds', '0', '1', '2', '--metric', 'accuracy/top1'),
        *('--work-dir', place, '--rows', tmp_path / 'rows.csv'),
        *('--executor', 'slurm', '--slurm', settings(tmp_path)),
        cwd=tmp_path,
        **cluster.environment,
    )
    assert done.returncode == 0, done.stderr
    assert [one.state for one in overview(place)] == ['finished'] * 3
    assert not list(place.rglob('*.owner'))
    # Accounting hears of it a moment later, and of other tests' jobs, too.
    until(lambda: any(ends >= {0, 1, 2} for ends in completed(cluster).values()))


def completed(cluster: Slurm) -> dict[str, set[int]]:
    """Numbers of the jobs of each array that are completed, as accounting has them."""
    found: dict[str, set[int]] = {}
    for line in cluster.run('sacct', '-n', '-X', '-P', '-o', 'JobID,State').split():
        name, _, state = line.partition('|')
        array, _, task = name.partition('_')
        if state == 'COMPLETED' and task:
            found.setdefault(array, set()).add(int(task))
    return found


@pytest.mark.parametrize('partition', ['low', 'grace'])
def test_a_preempted_job_goes_on(cluster, tmp_path, partition):
    one = job(tmp_path / 'run', *SLOW)

    def preempt():
        cluster.run(
            *('sbatch', '--partition=high', f'--nodes={len(NODES)}', '--exclusive'),
            *('--output=/dev/null', '--wrap=true'),
        )

    (end,) = run(tmp_path, [one], preempt, partition=partition)
    check_resumed(end, 'interrupted.pth')


def test_a_job_goes_on_after_its_time_limit(cluster, tmp_path):
    one = job(tmp_path / 'run', *SLOW)

    def limit():
        held = number(one)
        # SLURM sends its warning within half a minute, and the end comes after it.
        cluster.run('scontrol', 'update', f'JobId={held}', 'EndTime=now+60')
        state = ('squeue', '-h', '-o', '%T', '-j', held)
        until(lambda: cluster.run(*state).strip() == 'PENDING', [one])
        cluster.run('scontrol', 'update', f'JobId={held}', 'TimeLimit=60')

    (end,) = run(tmp_path, [one], limit)
    check_resumed(end, 'interrupted.pth')


def test_a_job_goes_on_elsewhere_when_its_node_goes_away(cluster, tmp_path):
    one = job(tmp_path / 'run', *SLOW)
    nodes = []

    def lose():
        nodes.append(cluster.run('squeue', '-h', '-o', '%N', '-j', number(one)).strip())
        cluster.lose_node(nodes[0])

    try:
        (end,) = run(tmp_path, [one], lose)
    finally:
        for name in nodes:
            cluster.start_node(name)
    check_resumed(end, 'epoch_')
    told = cluster.run('sacct', '-n', '-D', '-X', '-P', '-o', 'State,NodeList')
    assert f'NODE_FAIL|{nodes[0]}' in told
    other = next(name for name in NODES if name != nodes[0])
    assert f'COMPLETED|{other}' in told


def test_a_job_of_two_nodes_is_one_training(cluster, tmp_path):
    one = job(tmp_path / 'run')
    (end,) = run(tmp_path, [one], nodes=2, cpus_per_task=CPUS)
    assert end.summary is not None, end.reason
    assert end.summary['environment']['processes'] == 2
    # 24 points in batches of 4 for each of two processes: 3 iterations an epoch.
    assert end.summary['train']['iters'] == 6


def test_the_scripts_for_srun(cluster, tmp_path):
    """A training of a process on each node, and its test."""
    few = {'GRES': '', 'GPUS': '2', 'GPUS_PER_NODE': '1', 'CPUS_PER_TASK': '1'}
    more = {**cluster.environment, **few}
    done = run_tool('slurm_train.sh', 'low', 'job', TOY, 'run', cwd=tmp_path, **more)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / 'run' / 'summary.json').read_text())
    assert summary['environment']['processes'] == 2
    words = ('low', 'job', TOY, 'run/epoch_2.pth', '--out', 'metrics.json')
    done = run_tool('slurm_test.sh', *words, cwd=tmp_path, **more)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / 'metrics.json').read_text())
    assert metrics == pytest.approx(summary['metrics'])


def test_without_accounting_the_queue_and_the_files_tell(
    cluster_without_accounting, tmp_path
):
    jobs = [job(tmp_path / 'good'), job(tmp_path / 'bad', 'model.width=0')]
    good, bad = sorted(run(tmp_path, jobs), key=lambda end: end.summary is None)
    assert good.summary is not None
    assert good.summary['status'] == 'finished'
    assert bad.job.directory.name == 'bad'
    assert 'process 0' not in bad.reason  # its own last line
    states = {one.directory.name: one.state for one in overview(tmp_path)}
    assert states == {'good': 'finished', 'bad': 'failed'}
