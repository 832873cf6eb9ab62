// Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
// INT8 beside FP32, and predicted beside measured scores.

function int8Section() {
  const models = report.int8;
  if (!models.length) return null;
  const scored = models.filter((model) => isNumber(model.drop));
  return section('int8', 'INT8', int8Table(models), scored.length ? dropFigure(scored) : null);
}

function int8Facts(model) {
  return [
    factList([['engine', model.engine], ['metric', model.metric], ['samples (n)', model.samples],
      ['interval of the drop, 95 %', isNumber(model.low) ? `${number(model.low)} to ${number(model.high)} points` : null],
      ['source', model.source]]),
    ...model.rows.map((id) => details(report.rows[id].metric, rowFacts(report.rows[id]))),
  ];
}

function int8Table(models) {
  const parts = (name) => unique(models.flatMap((model) => Object.keys(model[name])));
  const told = (key, label, value, text) => ({
    key, label, numeric: true, value, cell: (model) => isNumber(value(model))
      ? asked(text(model), `${model.model}: ${label}`, () => int8Facts(model)) : '–',
  });
  const times = (name) => [
    told(`fp32 ${name}`, `${name}: FP32, ms`, (m) => m.latency_before[name], (m) => number(m.latency_before[name], 3)),
    told(`int8 ${name}`, `${name}: INT8, ms`, (m) => m.latency[name], (m) => number(m.latency[name], 3)),
  ];
  const unit = (m) => m.unit && m.unit !== '1' ? ` ${m.unit}` : '';
  const interval = (m) => isNumber(m.low) ? `${number(m.drop, 3)} [${number(m.low, 2)}, ${number(m.high, 2)}]` : number(m.drop, 3);
  return dataTable({
    caption: 'INT8 beside FP32 in the same engine; interval of 95 %', items: models, columns: [
      { key: 'model', label: 'model', value: (m) => m.model },
      { key: 'engine', label: 'engine', value: (m) => m.engine },
      { key: 'metric', label: 'metric', value: (m) => m.metric },
      told('before', 'FP32', (m) => m.before, (m) => number(m.before) + unit(m)),
      told('after', 'INT8', (m) => m.after, (m) => number(m.after) + unit(m)),
      told('drop', 'drop, points', (m) => m.drop, interval),
      told('n', 'samples (n)', (m) => m.samples, (m) => number(m.samples)),
      told('size', 'size, MiB', (m) => m.size, (m) =>
        isNumber(m.size_before) ? `${number(m.size_before, 3)} → ${number(m.size, 3)}` : number(m.size, 3)),
      ...parts('latency').flatMap(times),
      ...parts('speedup').map((name) => told(`speedup ${name}`, `speed-up, ${name}`, (m) => m.speedup[name],
        (m) => `${number(m.speedup[name], 3)}×`)),
    ],
  }).node;
}

function dropFigure(models) {
  const names = models.map((model) => plain(shorter(`${model.model}, ${model.engine}`, 44)));
  const make = () => ({
    data: [{
      type: 'scatter', mode: 'markers', x: models.map((m) => m.drop), y: models.map((_, i) => i), hoverinfo: 'text',
      hovertext: models.map((m, i) => `${names[i]}<br>${plain(m.metric ?? '')}: drop ${number(m.drop)} [${number(m.low)}, ${number(m.high)}], n=${number(m.samples)}`),
      error_x: { type: 'data', symmetric: false, array: models.map((m) => (m.high ?? m.drop) - m.drop),
        arrayminus: models.map((m) => m.drop - (m.low ?? m.drop)), color: look(0).colour, thickness: 2, width: 5 },
      marker: { color: look(0).colour, size: 10, symbol: 'circle' },
    }],
    layout: {
      height: 90 + 34 * models.length, xaxis: axis('drop (points)', { zerolinewidth: 2, zerolinecolor: colours().muted }),
      yaxis: axis('', { tickmode: 'array', tickvals: models.map((_, i) => i), ticktext: names, autorange: 'reversed' }),
    },
  });
  return figure('Drop by INT8', chart('Drop of the score of each INT8 model with its interval of 95 %', make,
    (point) => showFacts(models[point.pointIndex].model, ...int8Facts(models[point.pointIndex]))),
  { note: 'Right of 0 is worse. Interval of 95 %: one that holds 0 is not told apart from no drop.', wide: true });
}

function predictionsSection() {
  if (!report.predictions.length) return null;
  return section('predictions', 'Predicted against measured',
    el('div', { class: 'grid fill' }, report.predictions.map(predictionFigure)));
}

function predictionFigure({ title, place, unit, points, n, srcc, mae }) {
  const column = (i) => points.map((point) => point[i]);
  const ends = [...column(1), ...column(3)];
  const range = [Math.min(...ends), Math.max(...ends)];
  const of = unit === '1' ? '' : ` (${unit})`;
  const make = () => ({
    data: [
      { type: 'scatter', mode: 'lines', x: range, y: range, hoverinfo: 'skip', line: { color: colours().muted, dash: 'dot', width: 1.5 } },
      {
        type: 'scatter', mode: 'markers', x: column(1), y: column(3), hoverinfo: 'text',
        hovertext: points.map(([name, predicted, std, measured]) =>
          `${plain(name)}<br>predicted ${spread(predicted, std)}, measured ${number(measured)}`),
        error_x: points.length > 60 ? undefined : { type: 'data', array: column(2).map((std) => std ?? 0), color: faint(look(0).colour, 0.5), thickness: 1, width: 0 },
        marker: { color: faint(look(0).colour, points.length > 300 ? 0.45 : 0.9), size: points.length > 300 ? 5 : 8 },
      },
    ],
    layout: { height: 360, xaxis: axis(`predicted${of}`), yaxis: axis(`measured${of}`) },
  });
  const shown = points.length < n ? `; ${number(points.length)} of them drawn` : '';
  return figure(title, chart(`${title}: predicted against measured scores`, make), {
    note: `n=${number(n)}${shown}; SRCC ${number(srcc, 3)}; mean absolute error ${number(mae, 3)} ${unit === '1' ? '' : unit}; from ${place}`,
  });
}
