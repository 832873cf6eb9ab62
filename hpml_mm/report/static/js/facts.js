// Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
// What stands behind a number, on demand.

const dialog = document.getElementById('facts');

function factList(pairs) {
  const known = pairs.filter(([, value]) => value !== null && value !== undefined && value !== '');
  return el('dl', {}, known.flatMap(([name, value]) => [
    el('dt', {}, name), el('dd', {}, value instanceof Node ? value : String(value))]));
}

function showFacts(title, ...content) {
  const close = el('button', { type: 'button', onclick: () => dialog.close() }, 'Close');
  dialog.replaceChildren(
    el('header', {}, el('h2', { id: 'facts-title' }, title), close), ...content);
  dialog.showModal();
  dialog.scrollTop = 0;
}

// A number that tells its facts; `facts` makes the list when it is asked for.
function asked(text, title, facts) {
  return el('button', {
    type: 'button', class: 'asked', 'aria-haspopup': 'dialog',
    onclick: () => showFacts(title, ...[facts()].flat()),
  }, text);
}

// A number of a run in a table. Whether a machine was busy counts for numbers of time.
function runNumber(run, label, value, { show = number, ofTime = false } = {}) {
  if (!isNumber(value(run))) return '–';
  const told = asked(show(value(run)), `${run.name}: ${label}`,
    () => [numberFacts(run, value, show), ...runFacts(run)]);
  const why = ofTime && run.measurements['cpu/crowded'];
  return why ? el('span', {}, told, el('small', { class: 'busy', title: why }, '⚠ busy')) : told;
}

// A number, and that of the finished runs of its group.
function numberFacts(run, value, show) {
  const values = report.groups[run.group].runs.map((id) => report.runs[id])
    .filter((one) => one.status === 'finished').map(value).filter(isNumber);
  const n = values.length;
  const mean = values.reduce((sum, one) => sum + one, 0) / n;
  const deviation = Math.sqrt(values.reduce((sum, one) => sum + (one - mean) ** 2, 0) / (n - 1));
  return factList([
    ['value', show === number ? number(value(run), 6) : show(value(run))],
    ['n', 1], ['spread', 'none: one run'],
    ...(n > 1 ? [['mean of its group', show(mean)], ['standard deviation of its group', show(deviation)],
      ['n of its group', `${n} finished runs`]] : []),
  ]);
}

function code(text) {
  return text ? el('code', {}, text) : null;
}

function environmentFacts(environment) {
  const { device, torch, processes, date, more } = environment;
  const version = (commit, dirty) => commit && code(commit + (dirty ? ', with changes that are not in it' : ''));
  return [
    ['commit of hpml_mm', version(environment.commit, environment.dirty)],
    ['commit of the project', version(environment.project_commit, environment.project_dirty)],
    ['device', device], ['PyTorch', torch], ['processes', processes], ['date', day(date)],
    ...Object.entries(more ?? {}),
  ];
}

function runFacts(run) {
  const { train } = run;
  const numbers = (found) => Object.entries(found).map(([name, value]) =>
    [name, isNumber(value) || value === null ? number(value, 6) : String(value)]);
  const block = (title, pairs) => pairs.length
    ? details(counted(pairs.length, ...title), factList(pairs)) : null;
  return [
    run.reason ? el('p', { class: 'reason' }, run.reason) : null,
    factList([
      ['status', run.status], ['mode', run.mode], ['seed', run.seed], ['place', code(run.place)],
      ['command', code(run.command) ?? 'not recorded'],
      ['command by the config that it left', run.command ? null : code(run.likely_command)],
      ['config', code(run.config_file)],
      ['epochs', planned(train.epochs, train.planned_epochs)],
      ['iterations', planned(train.iters, train.planned_iters)],
      ['samples of the training set', train.dataset_size && number(train.dataset_size)],
      ['wall time', train.seconds && duration(train.seconds)],
      ...environmentFacts(run.environment), ['read from', run.source.join(', ')],
    ]),
    el('h3', {}, 'Scores, one run (n = 1)'),
    factList([...numbers(run.metrics), ...numbers(run.best).map(([name, value]) => [`best/${name}`, value])]),
    block(['measurement'], numbers(run.measurements)),
    block(['key of its config', 'keys of its config'], Object.entries(run.config).map(([key, value]) => [key, code(value)])),
  ].filter(Boolean);
}

function planned(done, of) {
  if (done === null) return null;
  return of && of !== done ? `${number(done)} of ${number(of)}` : number(done);
}

function rowFacts(row) {
  return factList([
    ['value', `${number(row.value, 6)} ${row.unit === '1' ? '' : row.unit}`],
    ['spread', isNumber(row.spread) ? number(row.spread) : 'none: one run'], ['n', row.n],
    ['baseline', row.baseline === null ? null : number(row.baseline, 6)],
    ['ratio', row.ratio === null ? null : number(row.ratio)],
    ['command', code(row.command)], ['commit of hpml_mm', code(row.commit)], ['device', row.device],
    ['PyTorch', row.torch], ['date', row.date], ['file', code(`${row.file}:${row.line}`)],
  ]);
}

function pointFacts(point) {
  return [
    factList([
      ['value', number(point.value, 6)],
      ['interval, about 95 %', isNumber(point.low) ? `${number(point.low)} to ${number(point.high)}` : 'none'],
      ['n', point.n], ['source', point.source],
    ]),
    ...point.rows.map((id) => details(
      `${report.rows[id].experiment}, ${report.rows[id].metric}`, rowFacts(report.rows[id]))),
    ...point.runs.map((id) => details(report.runs[id].name, runFacts(report.runs[id]))),
  ];
}

dialog.addEventListener('click', (event) => {
  if (event.target === dialog) dialog.close();
});
