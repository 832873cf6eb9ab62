// Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
// Learning curves of the selected runs, with bands over seeds.

const AXES = [['step', 'iterations'], ['epoch', 'epochs'], ['samples', 'samples'], ['seconds', 'seconds of training']];
const CHARTS = 4;
const FEW_POINTS = 40;

function curvesSection() {
  const all = metricsOf(report.runs, 'curves');
  if (!all.length) return null;
  const known = AXES.filter(([name]) => report.runs.some((run) =>
    Object.values(run.curves).some((curve) => curve[name].some(isNumber))));
  const state = { axis: 'step', metrics: new Set(firstMetrics(all)), single: false, log: false };
  const host = el('div');
  const change = (name) => (value) => {
    state[name] = value;
    redraw();
  };
  const redraw = () => {
    const chosen = sides();
    const names = [...state.metrics].filter((name) => chosen.some((side) => side.runs.some((run) => name in run.curves)));
    host.replaceChildren(...(names.length ? [legend(chosen), el('div', { class: 'grid two' },
      names.map((name) => curveFigure(name, chosen, state)))]
      : [el('p', { class: 'empty' }, 'No curve of the selected runs.')]));
  };
  onSelect(redraw);
  onTheme(redraw);
  redraw();
  const picker = details(`Metrics (${all.length})`, el('div', { class: 'ticks' }, all.map((name) =>
    tick(name, state.metrics.has(name), (on) => {
      state.metrics[on ? 'add' : 'delete'](name);
      redraw();
    }))));
  return section('curves', 'Learning curves', el('div', { class: 'controls' },
    choice('Axis', known, state.axis, change('axis')),
    tick('single runs', state.single, change('single')),
    tick('logarithmic', state.log, change('log')), picker), host);
}

// Some scores and some losses.
function firstMetrics(all) {
  const rank = (name) => /loss/.test(name) ? 1 : /(^|\/)(lr|momentum|time|data_time|memory)$|\(/.test(name) ? 2 : 0;
  const of = (kind) => all.filter((name) => rank(name) === kind);
  const [scores, losses] = [of(0), of(1)];
  const few = losses.slice(0, Math.max(CHARTS / 2, CHARTS - scores.length));
  return [...scores.slice(0, CHARTS - few.length), ...few];
}

function curveFigure(name, chosen, { axis: by, single, log }) {
  const label = AXES.find(([key]) => key === by)[1];
  const make = () => ({
    data: chosen.flatMap((side) => curveTraces(side, name, by, single)),
    layout: { xaxis: axis(label), yaxis: axis('', log ? { type: 'log' } : {}) },
  });
  const table = plainTable(name, ['side', `last ${label}`, 'last value', 'n'],
    chosen.flatMap((side) => lastOf(side, name, by)), (i) => i > 0);
  const banded = chosen.filter((side) => bandOf(side, name));
  const note = 'mean, band: standard deviation over seeds'
    + (banded.some((side) => side.runs.some((run) => run.status !== 'finished'))
      ? '; runs that have not finished count as far as they go, and not in the scores above' : '');
  return figure(name, chart(`${name} over ${label}`, make, (point) => {
    const side = chosen[point.data.meta];
    showFacts(`${side.name}: ${name}`, el('p', {}, point.hovertext ?? ''),
      ...side.runs.map((run) => details(run.name, ...runFacts(run))));
  }), { note: banded.length ? note : null, table });
}

function bandOf(side, name) {
  return side.whole && side.runs.length > 1 ? side.group.bands[name] : undefined;
}

function lastOf(side, name, by) {
  const band = bandOf(side, name);
  if (band) {
    const end = band.step.length - 1;
    return [[side.name, number(band[by][end]), spread(band.mean[end], band.std[end]), band.n[end]]];
  }
  return side.runs.filter((run) => name in run.curves).map((run) => {
    const curve = run.curves[name];
    return [run.name, number(curve[by].at(-1)), number(curve.value.at(-1)), 1];
  });
}

function curveTraces(side, name, by, single) {
  const { colour, dash, marker } = look(side.index);
  const band = bandOf(side, name);
  const base = { type: 'scatter', hoverinfo: 'text', meta: side.index };
  const line = (x, y, texts, more = {}) => ({
    ...base, x, y, hovertext: texts, name: plain(side.name),
    mode: x.length > FEW_POINTS ? 'lines' : 'lines+markers',
    line: { color: colour, dash, width: 2.2 }, marker: { color: colour, symbol: marker, size: 7 }, ...more,
  });
  const ofRun = (run, more) => {
    const curve = run.curves[name];
    return curve ? [line(curve[by], curve.value, curve.value.map((value, i) =>
      plain(`${run.name}\n${by} ${number(curve[by][i])}: ${number(value)}`).replace('\n', '<br>')), more)] : [];
  };
  const thin = { mode: 'lines', line: { color: faint(colour, 0.55), dash, width: 1 } };
  if (!band) return side.runs.flatMap((run) => ofRun(run, {}));
  const edge = (sign) => band.mean.map((mean, i) => mean + sign * (band.std[i] ?? 0));
  const shade = { ...base, x: band[by], mode: 'lines', hoverinfo: 'skip', line: { width: 0 }, fillcolor: faint(colour, 0.2) };
  const texts = band.mean.map((mean, i) =>
    `${plain(side.name)}<br>${by} ${number(band[by][i])}: ${spread(mean, band.std[i])}, n=${band.n[i]}`);
  return [
    { ...shade, y: edge(-1) }, { ...shade, y: edge(1), fill: 'tonexty' },
    ...(single ? side.runs.flatMap((run) => ofRun(run, thin)) : []),
    line(band[by], band.mean, texts),
  ];
}
