// Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
// The selected runs beside each other: marks, scores, differences of configs.

function compareSection() {
  if (report.runs.length < 2) return null;
  const host = el('div');
  const redraw = () => {
    const chosen = sides();
    const runs = selectedRuns().length;
    host.replaceChildren(...(runs < 2
      ? [el('p', { class: 'empty' }, 'Select two or more runs in the table above to compare them.')]
      : [
        el('p', {}, `${counted(runs, 'run')}, ${counted(chosen.length, 'side')}. A group that is `
          + 'selected whole is one side: mean ± standard deviation over its finished runs.'),
        ...markList(marksOf(chosen)),
        scoresOf(chosen), differencesOf(chosen),
      ]));
  };
  onSelect(redraw);
  redraw();
  return section('compare', 'Comparison', host);
}

// Score of a side: {mean, std, n, few}, or null.
function scoreOf(side, name) {
  if (side.whole) return side.group.scores[name] ?? null;
  const best = name.startsWith('best/') && !(name in side.runs[0].metrics);
  const mean = best ? side.runs[0].best[name.slice(5)] : side.runs[0].metrics[name];
  return isNumber(mean) ? { mean, std: null, n: 1, few: true } : null;
}

function scoreNames(chosen) {
  const names = chosen.flatMap((side) => side.whole ? Object.keys(side.group.scores)
    : [...Object.keys(side.runs[0].metrics), ...Object.keys(side.runs[0].best).map((name) => `best/${name}`)]);
  return unique(names).filter((name) => chosen.some((side) => scoreOf(side, name)));
}

function scoreCell(side, name) {
  const score = scoreOf(side, name);
  if (!score) return '–';
  const facts = () => [
    factList([['mean', number(score.mean, 6)], ['standard deviation', score.std === null ? 'none: one run' : number(score.std)],
      ['n', score.n], ['seeds', score.few ? 'few: fewer than five' : 'enough']]),
    ...side.runs.map((run) => details(run.name, ...runFacts(run))),
  ];
  return el('span', {}, asked(spread(score.mean, score.std), `${side.name}: ${name}`, facts),
    el('small', {}, ` n=${score.n}`, score.few ? el('span', { class: 'few' }, ' few') : ''));
}

function scoresOf(chosen) {
  const names = scoreNames(chosen);
  if (!names.length) return el('p', { class: 'empty' }, 'None of them has a score yet.');
  return dataTable({
    caption: 'Scores', items: chosen, facets: [],
    columns: [
      { key: 'name', label: 'side', value: (side) => side.name },
      ...names.map((name, i) => ({
        key: name, label: name, numeric: true, hidden: i >= 6,
        value: (side) => scoreOf(side, name)?.mean, cell: (side) => scoreCell(side, name),
      })),
    ],
  }).node;
}

function differencesOf(chosen) {
  const configs = chosen.map((side) => side.runs[0].config);
  const keys = unique(configs.flatMap(Object.keys));
  const differing = keys.filter((key) => unique(configs.map((config) => config[key])).length > 1).sort();
  const alike = keys.length - differing.length;
  if (!keys.length) return el('p', { class: 'empty' }, 'No config of theirs is known.');
  const same = el('p', { class: 'note' }, `${counted(alike, 'key')} of their configs ${alike === 1 ? 'is' : 'are'} alike.`);
  if (!differing.length) return el('div', {}, el('h3', {}, 'Configs'), same);
  const value = (config, key) => key in config ? code(config[key]) : el('span', { class: 'note' }, 'not set');
  return el('div', {}, el('h3', {}, 'Differences of their configs'),
    plainTable('Keys that differ', ['key', ...chosen.map((side) => side.name)],
      differing.map((key) => [code(key), ...configs.map((config) => value(config, key))])), same);
}
