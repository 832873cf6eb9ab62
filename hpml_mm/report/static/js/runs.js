// Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
// All runs in a table.

const SYMBOLS = {
  finished: '✓', running: '▶', pruned: '✂', interrupted: '‖', failed: '✕', unknown: '?',
  complete: '✓', waiting: '…', queued: '…',
};
// Of these measurements the table has columns from the start.
const MEASURED = ['throughput(img/s)', 'data_wait(%)', 'memory/peak(GiB)'];
const SCORES = 3;
// These measurements change where others take the cores.
const OF_TIME = /^(throughput|step_time|data_wait|device_idle|mfu|log)\b/;

function statusPill(status) {
  return el('span', { class: `status ${status}` },
    el('span', { 'aria-hidden': 'true' }, `${SYMBOLS[status] ?? '?'} `), status);
}

function runColumns(runs) {
  const groupOf = (run) => report.groups[run.group]?.name ?? '–';
  const number_ = (key, label, value, hidden = false, look = {}) => ({
    key, label, numeric: true, hidden, value, cell: (run) => runNumber(run, label, value, look),
  });
  const scores = metricsOf(runs, 'metrics');
  const best = metricsOf(runs, 'best');
  const measured = metricsOf(runs, 'measurements').filter((name) =>
    runs.some((run) => isNumber(run.measurements[name])));
  return [
    { key: 'name', label: 'run', value: (run) => run.name,
      cell: (run) => asked(run.name, run.name, () => runFacts(run)) },
    { key: 'status', label: 'status', value: (run) => run.status,
      cell: (run) => [statusPill(run.status), run.reason ? el('small', { class: run.status === 'failed' ? 'reason' : 'why', title: run.reason }, run.reason) : ''] },
    { key: 'seed', label: 'seed', numeric: true, value: (run) => run.seed },
    ...scores.map((name, i) => number_(`score ${name}`, name, (run) => run.metrics[name], i >= SCORES)),
    ...best.map((name) => number_(`best ${name}`, `best ${name}`, (run) => run.best[name], true)),
    number_('epochs', 'epochs', (run) => run.train.epochs),
    number_('seconds', 'wall time', (run) => run.train.seconds, false, { show: duration, ofTime: true }),
    ...measured.map((name) => number_(`measured ${name}`, name,
      (run) => run.measurements[name], !MEASURED.includes(name), { ofTime: OF_TIME.test(name) })),
    { key: 'group', label: 'group', value: groupOf, hidden: runs.every((run) => run.name.startsWith(groupOf(run))) },
    { key: 'device', label: 'device', value: (run) => run.environment.device },
    commitColumn('commit', 'commit of hpml_mm', ''),
    ...(runs.some((run) => run.environment.project_commit)
      ? [commitColumn('project', 'commit of the project', 'project_')] : []),
    { key: 'date', label: 'date', hidden: true, value: (run) => run.environment.date,
      cell: (run) => day(run.environment.date) },
    { key: 'place', label: 'place', hidden: true, value: (run) => run.place },
  ];
}

function commitColumn(key, label, of) {
  const commit = (run) => run.environment[`${of}commit`];
  const ending = (run) => run.environment[`${of}dirty`] ? '+dirty' : '';
  return { key, label, value: commit,
    cell: (run) => commit(run) ? code(commit(run).slice(0, 9) + ending(run)) : '–' };
}

function runsSection() {
  const { runs, groups } = report;
  if (!runs.length) return null;
  const table = dataTable({
    caption: 'All runs', items: runs, columns: runColumns(runs),
    facets: [
      { label: 'Status', value: (run) => run.status },
      ...(groups.length <= 60 ? [{ label: 'Group', value: (run) => groups[run.group]?.name ?? '–' }] : []),
      { label: 'Device', value: (run) => run.environment.device ?? 'unknown' },
    ],
    select: {
      has: (run) => selected.has(run.id),
      label: (run) => run.name,
      change: (items, on) => select(items.map((run) => run.id), on),
    },
  });
  onSelect(table.refresh);
  const note = 'Select two or more to compare them below. A name or a number tells its command, '
    + 'commit and machine.';
  return section('runs', 'Runs', el('p', {}, note), table.node);
}
