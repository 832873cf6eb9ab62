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

function code(text) {
  return text ? el('code', {}, text) : null;
}

function environmentFacts({ commit, dirty, device, torch, processes, date, more }) {
  return [
    ['commit', commit && code(commit + (dirty ? ', with changes that are not in it' : ''))],
    ['device', device], ['PyTorch', torch], ['processes', processes], ['date', day(date)],
    ...Object.entries(more ?? {}),
  ];
}

function runFacts(run) {
  const { train } = run;
  const numbers = (found) => Object.entries(found).map(([name, value]) =>
    [name, isNumber(value) || value === null ? number(value, 6) : String(value)]);
  const block = (title, pairs) => pairs.length
    ? details(counted(pairs.length, title), factList(pairs)) : null;
  return [
    run.reason ? el('p', { class: 'reason' }, run.reason) : null,
    factList([
      ['status', run.status], ['mode', run.mode], ['seed', run.seed], ['place', code(run.place)],
      ['command', code(run.command)], ['config', code(run.config_file)],
      ['epochs', planned(train.epochs, train.planned_epochs)],
      ['iterations', planned(train.iters, train.planned_iters)],
      ['samples of the training set', train.dataset_size && number(train.dataset_size)],
      ['wall time', train.seconds && duration(train.seconds)],
      ...environmentFacts(run.environment), ['read from', run.source.join(', ')],
    ]),
    el('h3', {}, 'Scores, one run (n = 1)'),
    factList([...numbers(run.metrics), ...numbers(run.best).map(([name, value]) => [`best/${name}`, value])]),
    block('measurement', numbers(run.measurements)),
    block('key of its config', Object.entries(run.config).map(([key, value]) => [key, code(value)])),
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
    ['command', code(row.command)], ['commit', code(row.commit)], ['device', row.device],
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
