// Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
// Result rows, other tables, and what could not be read.

function rowsSection() {
  const { rows } = report;
  if (!rows.length) return null;
  const family = (row) => row.experiment.split('/')[0];
  const families = unique(rows.map(family)).length;
  const note = 'The spread is the interquartile range of a median, or the standard deviation of a mean over seeds.';
  return section('rows', 'Result rows', el('p', { class: 'note' }, note), dataTable({
    caption: 'Result rows', items: rows, columns: [
      { key: 'experiment', label: 'experiment', value: (row) => row.experiment },
      { key: 'metric', label: 'metric', value: (row) => row.metric },
      { key: 'value', label: 'value', numeric: true, value: (row) => row.value,
        cell: (row) => asked(number(row.value), `${row.experiment}: ${row.metric}`, () => rowFacts(row)) },
      { key: 'spread', label: 'spread', numeric: true, value: (row) => row.spread },
      { key: 'n', label: 'n', numeric: true, value: (row) => row.n },
      { key: 'ratio', label: 'ratio to its baseline', numeric: true, value: (row) => row.ratio },
      { key: 'device', label: 'device', value: (row) => row.device },
      { key: 'commit', label: 'commit', value: (row) => row.commit, cell: (row) => code(shortCommit(row.commit)) },
      { key: 'date', label: 'date', value: (row) => row.date },
      { key: 'command', label: 'command', hidden: true, value: (row) => row.command, cell: (row) => code(row.command) },
      { key: 'file', label: 'file', hidden: true, value: (row) => row.file, cell: (row) => code(`${row.file}:${row.line}`) },
    ],
    facets: [
      ...(families <= 80 ? [{ label: 'Experiment', value: family }] : []),
      { label: 'File', value: (row) => row.file }, { label: 'Device', value: (row) => row.device },
    ],
  }).node);
}

function shortCommit(commit) {
  const [hash, ...rest] = commit.split('+');
  return [hash.slice(0, 9), ...rest].join('+');
}

function tablesSection() {
  if (!report.tables.length) return null;
  return section('tables', 'Tables', report.tables.map((table) => el('article', {},
    dataTable({
      caption: table.title, items: table.lines,
      columns: table.header.map((label, i) => ({ key: `${i}`, label, value: (line) => line[i] })),
    }).node,
    table.note ? el('p', { class: 'note' }, table.note) : null)));
}

function problemsSection() {
  if (!report.problems.length) return null;
  return section('problems', `Problems (${report.problems.length})`,
    el('p', {}, 'Read otherwise, or not at all:'),
    el('ul', { class: 'problems' }, report.problems.map(({ place, what }) =>
      el('li', {}, code(place), ' ', what))));
}
