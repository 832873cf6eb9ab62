// Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
// The page from top to bottom.

// Names of sections in the bar, where their titles are long.
const SHORT = {
  compare: 'Compare', curves: 'Curves', time: 'Time', errors: 'Errors', predictions: 'Predictions', rows: 'Rows',
};

function section(id, title, ...content) {
  return el('section', { id, 'aria-labelledby': `${id}-title` },
    el('h2', { id: `${id}-title` }, title), ...content.flat().filter(Boolean));
}

function overview() {
  const states = unique(report.runs.map((run) => run.status)).map((status) =>
    [status, report.runs.filter((run) => run.status === status).length]);
  const tile = (value, label, href, more = []) => value ? el('li', {}, el('a', { href },
    el('strong', {}, value.toLocaleString('en')), el('span', {}, label), ...more)) : null;
  return el('div', {},
    el('h1', {}, report.title),
    el('p', { class: 'note' }, `Read ${day(report.made)} by `, code(report.command)),
    el('ul', { class: 'tiles' },
      tile(report.runs.length, 'runs', '#runs'), tile(report.groups.length, 'groups', '#compare'),
      tile(report.rows.length, 'result rows', '#rows'), tile(report.studies.length, 'searches', '#searches'),
      tile(report.int8.length, 'INT8 models', '#int8'), tile(report.problems.length, 'problems', '#problems')),
    states.length ? el('p', { class: 'states' }, states.map(([status, count]) =>
      el('span', {}, statusPill(status), ` ${count} `))) : null,
    report.notes.map((note) => el('p', { class: 'note' }, note)));
}

function drawPage() {
  document.title = report.title;
  applyTheme();
  selectAtFirst();
  const sections = [
    runsSection, compareSection, curvesSection, timeSection, errorsSection, int8Section,
    predictionsSection, studiesSection, tablesSection, rowsSection, problemsSection,
  ].map((make) => make()).filter(Boolean);
  document.getElementById('content').replaceChildren(overview(), ...sections);
  document.getElementById('top').replaceChildren(
    el('nav', { 'aria-label': 'Sections' }, sections.map((one) =>
      el('a', { href: `#${one.id}` }, SHORT[one.id] ?? one.querySelector('h2').textContent))), themeSwitch());
  if (!charts.size) document.documentElement.dataset.charts = 'drawn';
}

drawPage();
