// Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
// Where the time goes: costs of the runs, and panels over workers, processes, sizes.

const COSTS = [
  ['throughput(img/s)', 'images/s'], ['step_time/median(ms)', 'step median, ms'],
  ['step_time/p95(ms)', 'step p95, ms'], ['data_wait(%)', 'data wait, %'],
  ['memory/peak(GiB)', 'peak memory, GiB'], ['device_idle(%)', 'device idle, %'],
  ['mfu(%)', 'MFU, %'],
];

function timeSection() {
  const measured = report.runs.filter((run) => COSTS.some(([name]) => isNumber(run.measurements[name])));
  if (!measured.length && !report.panels.length) return null;
  return section('time', 'Where the time goes',
    measured.length ? costTable(measured) : null,
    measured.some((run) => isNumber(run.measurements['step_time/median(ms)'])) ? stepTimes() : null,
    report.panels.length ? el('div', { class: 'grid' }, report.panels.map(panelFigure)) : null);
}

function costTable(runs) {
  const known = COSTS.filter(([name]) => runs.some((run) => isNumber(run.measurements[name])));
  const words = [['step/precision', 'precision'], ['verdict', 'verdict']]
    .filter(([name]) => runs.some((run) => run.measurements[name]));
  const each = (run) => isNumber(run.train.seconds) && run.train.epochs ? run.train.seconds / run.train.epochs : null;
  const numeric = (key, label, value, look = {}) => ({
    key, label, numeric: true, value, cell: (run) => runNumber(run, label, value, look),
  });
  return dataTable({
    caption: 'Costs of the runs, one run each', items: runs,
    columns: [
      { key: 'name', label: 'run', value: (run) => run.name },
      ...known.map(([name, label]) => numeric(name, label, (run) => run.measurements[name], { ofTime: OF_TIME.test(name) })),
      numeric('n', 'steps measured', (run) => run.measurements['step_time/n']),
      numeric('epoch', 'wall time an epoch', each, { show: duration, ofTime: true }),
      ...words.map(([name, label]) => ({ key: name, label, value: (run) => run.measurements[name],
        cell: (run) => run.measurements[name] ? asked(shorter(run.measurements[name], 48), run.name, () => runFacts(run)) : '–' })),
      { key: 'device', label: 'device', value: (run) => run.environment.device },
    ],
    facets: [{ label: 'Device', value: (run) => run.environment.device ?? 'unknown' }],
  }).node;
}

const MOST = 24;

// Median and p95 of a step, for the selected runs.
function stepTimes() {
  const host = el('div');
  const redraw = () => {
    const all = selectedRuns().filter((run) => isNumber(run.measurements['step_time/median(ms)']));
    const runs = all.slice(0, MOST);
    const more = all.length > MOST ? `; the first ${MOST} of ${all.length} runs` : '';
    if (!runs.length) {
      host.replaceChildren(el('p', { class: 'empty' }, 'No step time of the selected runs.'));
      return;
    }
    const names = runs.map((run) => run.id);
    const times = (part) => runs.map((run) => run.measurements[`step_time/${part}(ms)`] ?? null);
    const trace = (part, i) => ({
      type: 'scatter', mode: 'markers', x: times(part), y: names, name: part, hoverinfo: 'text',
      hovertext: runs.map((run, at) => plain(`${run.name}: ${part} ${number(times(part)[at])} ms, n=${run.measurements['step_time/n'] ?? '?'}`)),
      marker: { color: look(i).colour, symbol: look(i).marker, size: 9 },
    });
    const make = () => ({
      data: [
        ...runs.map((run, i) => ({ type: 'scatter', mode: 'lines', hoverinfo: 'skip', showlegend: false,
          x: [times('median')[i], times('p95')[i]], y: [run.id, run.id], line: { color: colours().muted, width: 1.5 } })),
        trace('median', 0), trace('p95', 1),
      ],
      layout: {
        height: 110 + 24 * runs.length, showlegend: true, legend: { orientation: 'h', y: 1, yanchor: 'bottom' },
        margin: { l: 56, r: 16, t: 32, b: 44 }, xaxis: axis('step time (ms)', { rangemode: 'tozero' }),
        yaxis: axis('', { type: 'category', range: [runs.length - 0.4, -0.6], tickmode: 'array', tickvals: names, ticktext: runs.map((run) => plain(shorter(run.name, 28))) }),
      },
    });
    host.replaceChildren(figure('Time of a step, selected runs',
      chart('Median and 95th percentile of the step time of each selected run', make,
        (point) => showFacts(report.runs[point.y].name, ...runFacts(report.runs[point.y]))),
      { note: `median and 95th percentile over the measured steps${more}`, wide: true,
        marks: marksOf(sides()).across }));
  };
  onSelect(redraw);
  redraw();
  return host;
}

function panelFigure(panel) {
  const label = `${panel.title}: ${panel.y_label} over ${panel.x_label}`;
  const points = panel.series.flatMap((series) => series.points.map((point) => ({ series, point })));
  const place = ({ x }) => isNumber(x) ? number(x) : x;
  const table = plainTable(panel.title, ['series', panel.x_label, panel.y_label, 'interval, about 95 %', 'n', 'source'],
    points.map(({ series, point }) => [series.name, place(point),
      asked(number(point.value), `${series.name}, ${place(point)}`, () => pointFacts(point)),
      isNumber(point.low) ? `${number(point.low)} to ${number(point.high)}` : '–', point.n, point.source]),
    (i) => i > 0 && i < 5);
  const content = chart(label, () => panelPlot(panel), (point) => {
    const found = panel.series[point.data.meta]?.points[point.pointIndex];
    if (found) showFacts(`${panel.series[point.data.meta].name}, ${place(found)}`, ...pointFacts(found));
  });
  return figure(panel.title, content, { note: panel.finding, marks: panel.marks, table });
}

function panelPlot(panel) {
  const bars = panel.style === 'bar';
  const numeric = panel.series.every((series) => series.points.every((point) => isNumber(point.x)));
  const data = panel.series.map((series, i) => {
    const { colour, dash, marker } = look(i);
    const { points } = series;
    const part = (of) => points.map((point) => isNumber(point.low) ? of(point) : null);
    return {
      type: bars ? 'bar' : 'scatter', mode: 'lines+markers', name: plain(shorter(series.name)), meta: i,
      x: points.map((point) => isNumber(point.x) ? point.x : plain(point.x)), y: points.map((point) => point.value),
      error_y: { type: 'data', symmetric: false, array: part((p) => p.high - p.value), arrayminus: part((p) => p.value - p.low),
        color: bars ? colours().ink : colour, thickness: 1.4, width: 4 },
      line: { color: colour, dash, width: 2 },
      marker: bars ? { color: faint(colour, 0.75), line: { color: colour, width: 1.5 }, pattern: { shape: ['', '/', '.', 'x', '-', '\\', '|'][i % 7], fgcolor: colours().card, size: 6 } }
        : { color: colour, symbol: marker, size: 9 },
      hoverinfo: 'text', hovertext: points.map((point) =>
        `${plain(series.name)}<br>${plain(isNumber(point.x) ? number(point.x) : point.x)}: ${number(point.value)}`
        + `${isNumber(point.low) ? ` [${number(point.low)}, ${number(point.high)}]` : ''}, n=${point.n}`),
    };
  });
  if (panel.ideal.length) {
    data.push({ type: 'scatter', mode: 'lines', name: 'ideal', hoverinfo: 'skip', x: panel.ideal.map(([x]) => x),
      y: panel.ideal.map(([, y]) => y), line: { color: colours().muted, dash: 'dot', width: 1.5 } });
  }
  const places = unique(panel.series.flatMap((series) => series.points.map((point) => point.x)));
  const ticks = numeric && places.length <= 12 ? { tickmode: 'array', tickvals: places } : {};
  return {
    data,
    layout: {
      showlegend: data.length > 1, barmode: 'group', height: 320 + 18 * Math.ceil(data.length / 2),
      xaxis: axis(panel.x_label, numeric ? ticks : { type: 'category' }), yaxis: axis(panel.y_label, { rangemode: 'tozero' }),
    },
  };
}
