// Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
// Errors of the models: confusion matrices, keypoints, worst cases.

const SHOWN = 6;

// The selected runs that have something; else the first that have it.
function runsWith(has) {
  const all = report.runs.filter(has);
  const chosen = all.filter((run) => selected.has(run.id));
  const runs = (chosen.length ? chosen : all).slice(0, SHOWN);
  const note = chosen.length ? null : 'None of the selected runs has one; these are others.';
  return { runs, note, left: (chosen.length ? chosen : all).length - runs.length };
}

function errorsSection() {
  const parts = [
    ['Confusion matrices', (run) => run.confusion.length, (runs) => runs.flatMap((run) =>
      run.confusion.map((matrix) => confusionFigure(run, matrix)))],
    ['Keypoints', (run) => Object.keys(run.keypoints).length, keypointFigures],
    ['Worst cases and pictures', (run) => run.pictures.length, (runs) => runs.flatMap((run) =>
      run.pictures.map((picture) => pictureFigure(run, picture)))],
  ].filter(([, has]) => report.runs.some(has));
  if (!parts.length) return null;
  return section('errors', 'Errors of the models', parts.map(([title, has, make]) => {
    const host = el('div');
    const redraw = () => {
      const { runs, note, left } = runsWith(has);
      host.replaceChildren(el('h3', {}, title), note ? el('p', { class: 'note' }, note) : '',
        el('div', { class: 'grid fill' }, make(runs)),
        left ? el('p', { class: 'note' }, `${counted(left, 'more selected run')} not shown: select fewer.`) : '');
    };
    onSelect(redraw);
    redraw();
    return host;
  }));
}

function confusionFigure(run, { split, labels, counts }) {
  const totals = counts.map((row) => row.reduce((sum, value) => sum + value, 0));
  const share = counts.map((row, i) => row.map((value) => totals[i] ? 100 * value / totals[i] : 0));
  const all = totals.reduce((sum, value) => sum + value, 0);
  const right = counts.reduce((sum, row, i) => sum + row[i], 0);
  const names = labels.map(plain);
  const make = () => ({
    data: [{
      type: 'heatmap', x: names, y: names, z: share, zmin: 0, zmax: 100, colorscale: colours().scale,
      xgap: 1, ygap: 1, showscale: false,
      text: share.map((row) => row.map((value) => labels.length > 12 ? '' : `${Math.round(value)}`)), texttemplate: '%{text}',
      textfont: { color: colours().ink },
      hoverinfo: 'text', hovertext: counts.map((row, i) => row.map((value, j) =>
        `${names[i]} taken for ${names[j]}: ${value} of ${totals[i]} (${number(share[i][j], 3)} %)`)),
    }],
    layout: {
      height: 380, xaxis: axis('taken for', { tickangle: -40, showgrid: false }),
      yaxis: axis('truth', { autorange: 'reversed', showgrid: false }),
    },
  });
  const table = plainTable(`${run.name}, ${split}`, ['truth', ...labels, 'n'],
    counts.map((row, i) => [labels[i], ...row.map(String), String(totals[i])]), (i) => i > 0);
  return figure(`${run.name}, ${split}`,
    chart(`Confusion matrix of ${run.name} on ${split}`, make, () => showFacts(run.name, ...runFacts(run))),
    { note: `% of each true class; ${number(100 * right / all, 3)} % right of n=${number(all)}, one run`, table });
}

function keypointFigures(runs) {
  const names = unique(runs.flatMap((run) => Object.keys(run.keypoints)));
  return names.map((name) => {
    const having = runs.filter((run) => name in run.keypoints);
    const points = unique(having.flatMap((run) => Object.keys(run.keypoints[name])));
    const make = () => ({
      data: having.map((run, i) => ({
        type: 'scatter', mode: 'markers', name: plain(shorter(run.name)), meta: run.id,
        x: points.map((point) => run.keypoints[name][point] ?? null), y: points.map(plain),
        marker: { color: look(i).colour, symbol: look(i).marker, size: 9 },
        hoverinfo: 'text', hovertext: points.map((point) => plain(`${run.name}, ${point}: ${number(run.keypoints[name][point])}`)),
      })),
      layout: {
        height: 130 + 22 * points.length, showlegend: true, legend: { orientation: 'h', y: 1, yanchor: 'bottom' },
        margin: { l: 56, r: 16, t: 32, b: 44 }, xaxis: axis(name), yaxis: axis('', { type: 'category', autorange: 'reversed' }),
      },
    });
    const table = plainTable(name, ['keypoint', ...having.map((run) => run.name)],
      points.map((point) => [point, ...having.map((run) => number(run.keypoints[name][point]))]), (i) => i > 0);
    return figure(`${name} of each keypoint`, chart(`${name} of each keypoint`, make,
      (point) => showFacts(report.runs[point.data.meta].name, ...runFacts(report.runs[point.data.meta]))),
    { note: 'one run a marker (n = 1)', table, wide: true });
  });
}

function pictureFigure(run, { title, text, uri }) {
  const image = () => el('img', { src: uri, alt: `${title} of ${run.name}: ${text}` });
  const open = () => showFacts(`${run.name}: ${title}`, image(), el('p', {}, text), details('The run', ...runFacts(run)));
  return figure(`${run.name}: ${title}`,
    el('button', { type: 'button', class: 'picture', 'aria-haspopup': 'dialog', onclick: open }, image()), { note: text });
}
