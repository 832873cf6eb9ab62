// Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
// The report, out of the pools that packing.py made.

const report = unpack(JSON.parse(document.getElementById('data').textContent));

function unpack(data) {
  const names = ['step', 'epoch', 'samples', 'seconds'];
  const curves = (found, last) => Object.fromEntries(
    Object.entries(found).filter(([, places]) => places.length).map(([metric, places]) => [
      metric,
      Object.fromEntries([...names, ...last].map((name, i) => [name, data.columns[places[i]]])),
    ]));
  for (const run of data.runs) {
    run.config = Object.fromEntries(run.config.map((place) => data.pairs[place]));
    run.curves = curves(run.curves, ['value']);
    run.pictures = data.pictures[run.id];
  }
  for (const group of data.groups) group.bands = curves(group.bands, ['mean', 'std', 'n']);
  const texts = new Set(data.row_texts);
  data.rows = data.rows.map((cells) => Object.fromEntries(data.row_fields.map((name, i) =>
    [name, texts.has(name) ? data.texts[cells[i]] : cells[i]])));
  return data;
}

// Metrics of runs, those that more runs have first.
function metricsOf(runs, part) {
  const counts = new Map();
  for (const run of runs) {
    for (const name of Object.keys(run[part])) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts.entries()].sort((a, b) => b[1] - a[1]).map(([name]) => name);
}
