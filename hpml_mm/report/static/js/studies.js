// Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
// Searches: verdict, repetition, figures of Optuna, trials.

function studiesSection() {
  if (!report.studies.length) return null;
  return section('searches', 'Searches', report.studies.map(studyArticle));
}

function studyArticle(study) {
  const { trials } = study;
  const states = unique(trials.map((trial) => trial.state))
    .map((state) => `${trials.filter((trial) => trial.state === state).length} ${state}`);
  const collapsed = trials.filter((trial) => trial.collapsed).length;
  const aims = study.metrics.map((metric, i) => `${study.directions[i]} ${metric}`).join(', ');
  return el('article', {}, el('h3', {}, study.name),
    el('p', {}, `${aims}. ${counted(trials.length, 'trial')}: ${states.join(', ')}`
      + `${collapsed ? `; ${collapsed} predict one class alone` : ''}.`),
    study.verdict ? el('p', { class: 'verdict' }, study.verdict) : null,
    study.command ? el('p', {}, 'Trained by ', code(study.command)) : null,
    details('Settings of the search', factList([['place', code(study.place)], ...Object.entries(study.settings)])),
    study.repetitions.length ? repetitions(study) : null,
    el('div', { class: 'grid two' }, Object.entries(study.figures).map(([title, found]) => studyFigure(study, title, found))),
    Object.entries(study.missing_figures).map(([title, reason]) => el('p', { class: 'note' }, `No ${title}: ${reason}.`)),
    trials.length ? trialTable(study) : null);
}

function repetitions(study) {
  const found = study.repetitions;
  const metric = study.repeated_metric ?? study.metrics[0];
  const table = plainTable('Trained again with fresh seeds',
    ['setting', 'score in the search', `again: ${metric}`, 'n', 'difference to the config', 'p'],
    found.map((one) => [
      one.trial === null ? one.label : `${one.label} (trial ${one.trial})`, number(one.searched),
      asked(spread(one.mean, one.std), one.label, () => factList([['values', one.values.map((value) => number(value, 6)).join(', ')], ['n', one.n]])),
      el('span', {}, String(one.n), one.few ? el('span', { class: 'few' }, ' few') : ''),
      one.difference ? `${number(one.difference[0], 3)} [${number(one.difference[1], 3)}, ${number(one.difference[2], 3)}]` : '–',
      isNumber(one.p) ? number(one.p, 2) : '–',
    ]), (i) => i > 0);
  const make = () => ({
    data: [
      { type: 'scatter', mode: 'markers', name: 'again, a seed each', hoverinfo: 'x+y',
        x: found.flatMap((one) => one.values.map(() => plain(one.label))), y: found.flatMap((one) => one.values),
        marker: { color: look(0).colour, symbol: 'circle-open', size: 9, line: { width: 2 } } },
      { type: 'scatter', mode: 'markers', name: 'mean ± standard deviation', hoverinfo: 'x+y', x: found.map((one) => plain(one.label)),
        y: found.map((one) => one.mean), error_y: { type: 'data', array: found.map((one) => one.std ?? 0), color: look(0).colour },
        marker: { color: look(0).colour, symbol: 'line-ew-open', size: 18, line: { width: 3 } } },
      { type: 'scatter', mode: 'markers', name: 'in the search', hoverinfo: 'x+y', x: found.map((one) => plain(one.label)),
        y: found.map((one) => one.searched), marker: { color: look(1).colour, symbol: 'diamond', size: 10 } },
    ],
    layout: { showlegend: true, height: 360, xaxis: axis('', { type: 'category' }), yaxis: axis(metric) },
  });
  return el('div', {}, table, figure('Score in the search and again',
    chart(`Scores of the best settings in the search and again with fresh seeds`, make),
    { note: 'a best score of many is above what it repeats: the winner’s curse' }));
}

// The colour of the same hue that is as light as this one is dark; other texts stay.
function turned(colour) {
  const hex = /^#([0-9a-f]{3}|[0-9a-f]{6})$/i.exec(colour)?.[1];
  const parts = hex ? hex.match(hex.length === 3 ? /./g : /../g).map((part) => parseInt(part.padEnd(2, part), 16))
    : /^rgb\(([\d., ]+)\)$/.exec(colour)?.[1].split(',').map(Number);
  if (!parts) return colour;
  const shift = 255 - Math.max(...parts) - Math.min(...parts);
  return `rgb(${parts.map((part) => part + shift).join(',')})`;
}

// A figure with a white ground of its own, for the dark page.
function onDark({ data, layout }) {
  const line = (one) => one.line?.color ? { ...one, line: { ...one.line, color: turned(one.line.color) } } : one;
  const scale = (one) => one.marker?.colorscale ? { ...one, marker: { ...one.marker,
    colorscale: one.marker.colorscale.map(([at, colour]) => [at, turned(colour)]) } } : one;
  const text = (one) => one.font?.color ? { ...one, font: { ...one.font, color: turned(one.font.color) } } : one;
  return {
    data: data.map((trace) => scale(line(trace))),
    layout: { ...layout, shapes: layout.shapes?.map(line), annotations: layout.annotations?.map(text) },
  };
}

// Marks and scales that are meant for a white page, turned for a dark one.
function readable(trace) {
  const dark = document.documentElement.dataset.theme === 'dark';
  if (dark && trace.mode === 'markers' && trace.marker?.colorscale) {
    trace.marker.reversescale = !trace.marker.reversescale;
  }
  if (trace.mode === 'markers' && /^(black|#000|#000000|#444444)$/i.test(trace.marker?.color)) {
    trace.marker.color = colours().ink;
  }
  return trace;
}

// A figure of Optuna, in the page's colours.
function studyFigure(study, title, found) {
  const make = () => {
    const { title: ignored, plot_bgcolor: ground, ...own } = structuredClone(found.layout ?? {});
    const axes = Object.keys(own).filter((key) => /^[xy]axis\d*$/.test(key));
    for (const key of unique([...axes, 'xaxis', 'yaxis'])) {
      own[key] = { ...axis(''), ...own[key], color: colours().ink };
    }
    const named = found.data.filter(({ name, showlegend }) => name && showlegend !== false).length;
    const height = axes.length > 6 ? 560 : 380;
    const layout = { ...own, showlegend: named > 1 && named < 7, height };
    const data = structuredClone(found.data);
    if (!ground) return { data: data.map(readable), layout };
    return document.documentElement.dataset.theme === 'dark' ? onDark({ data, layout }) : { data, layout };
  };
  const many = found.layout?.annotations?.length > 2
    || Object.keys(found.layout ?? {}).filter((key) => /^xaxis/.test(key)).length > 2;
  return figure(title, chart(`${title} of the search ${study.name}`, make), { wide: many });
}

function trialTable({ trials, metrics, best }) {
  const params = unique(trials.flatMap((trial) => Object.keys(trial.params)));
  const facts = (trial) => [
    factList([['state', trial.state], ['error', trial.reason], ['time', trial.seconds && duration(trial.seconds)],
      ['last report', trial.last && `${number(trial.last[1])} at step ${trial.last[0]}`], ...Object.entries(trial.params)]),
    trial.run === null ? null : details('Its run', ...runFacts(report.runs[trial.run])),
  ].filter(Boolean);
  return dataTable({
    caption: 'Trials, one run each', items: trials, columns: [
      { key: 'number', label: 'trial', numeric: true, value: (trial) => trial.number,
        cell: (trial) => asked(`${trial.number}${best.includes(trial.number) ? ' ★' : ''}`, `Trial ${trial.number}`, () => facts(trial)) },
      { key: 'state', label: 'state', value: (trial) => trial.state, cell: (trial) => statusPill(trial.state) },
      ...metrics.map((metric, i) => ({ key: `value ${metric}`, label: metric, numeric: true, value: (trial) => trial.values[i] })),
      ...params.map((name) => ({ key: `param ${name}`, label: name, value: (trial) => trial.params[name] })),
      { key: 'collapsed', label: 'one class alone', value: (trial) => trial.collapsed === null ? null : trial.collapsed ? 'yes' : 'no' },
      { key: 'seconds', label: 'time', numeric: true, value: (trial) => trial.seconds, cell: (trial) => duration(trial.seconds) },
      { key: 'reason', label: 'error', value: (trial) => trial.reason },
    ],
    facets: [{ label: 'State', value: (trial) => trial.state }],
  }).node;
}
