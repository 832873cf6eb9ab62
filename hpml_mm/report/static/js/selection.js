// Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
// The runs that are compared. A group that is selected whole is one line with its band;
// of another, each selected run is a line of its own.

const selected = new Set();
const watchers = [];
const AT_FIRST = 6;

function select(ids, on) {
  for (const id of ids) selected[on ? 'add' : 'delete'](id);
  for (const watcher of watchers) watcher();
}

function onSelect(watcher) {
  watchers.push(watcher);
}

function selectAtFirst() {
  for (const group of report.groups.slice(0, AT_FIRST)) group.runs.forEach((id) => selected.add(id));
}

function selectedRuns() {
  return report.runs.filter((run) => selected.has(run.id));
}

// What is compared: {name, runs, group, whole, index}, groups in the order of the report.
function sides() {
  const found = [];
  report.groups.forEach((group, place) => {
    const ids = group.runs.filter((id) => selected.has(id));
    const whole = ids.length === group.runs.length;
    if (whole && ids.length) {
      found.push({ name: group.name, runs: ids.map((id) => report.runs[id]), group, whole });
    } else {
      for (const id of ids) {
        const run = report.runs[id];
        found.push({ name: run.name, runs: [run], group: report.groups[place], whole: false });
      }
    }
  });
  return found.map((side, index) => ({ ...side, index }));
}

// Warnings about comparing what is not alike.
function marksOf(chosen) {
  const runs = chosen.flatMap((side) => side.runs);
  const differ = (what, of) => {
    const all = runs.map((run) => of(run.environment));
    const values = unique(all.filter((value) => value !== null));
    if (!values.length || (values.length === 1 && values.length === unique(all).length)) return null;
    const lost = all.filter((value) => value === null).length;
    const unknown = lost ? `; not known of ${counted(lost, 'run')}` : '';
    return values.length > 1 ? `Compared across ${values.length} ${what}: ${values.join(', ')}${unknown}.`
      : `Perhaps compared across several ${what}${unknown}.`;
  };
  const short = (commit, dirty) => commit && commit.slice(0, 9) + (dirty ? '+dirty' : '');
  const across = [
    differ('machines', (environment) => environment.device),
    differ('commits', ({ commit, dirty }) => short(commit, dirty)),
    differ('commits of the project', (environment) => short(environment.project_commit, environment.project_dirty)),
    differ('versions of PyTorch', (environment) => environment.torch),
    differ('numbers of processes', (environment) => environment.processes),
  ];
  const own = [
    ...chosen.filter((side) => side.whole)
      .flatMap((side) => side.group.marks.map((mark) => `${side.name}: ${mark}.`)),
    ...runs.filter((run) => run.measurements['cpu/crowded'])
      .map((run) => `${run.name}: ${run.measurements['cpu/crowded']}.`),
    ...chosen.filter((side) => !side.whole && side.group.runs.length > 1).map((side) =>
      `${side.name}: one run of ${side.group.runs.length} of its group, without a spread.`),
  ].map((text) => text.replace(/\.\.$/, '.'));
  return { across: across.filter(Boolean), own };
}

function markList({ across, own }) {
  const marks = own.map(warning);
  return [...across.map(warning),
    ...(marks.length > 2 ? [details(`⚠ ${marks.length} warnings about single sides`, ...marks)] : marks)];
}

// The legend of all charts of a comparison, with colour, dash and marker.
function legend(chosen) {
  const shapes = {
    circle: 'M20 4a4 4 0 1 0 .01 0z', square: 'M16.500 4.500h7v7h-7z', diamond: 'M20 3l5 5-5 5-5-5z',
    'triangle-up': 'M20 3l5 9h-10z', x: 'M16 4l8 8M24 4l-8 8', star: 'M20 2l2 4 4 .5-3 3 1 4-4-2-4 2 1-4-3-3 4-.5z',
    'triangle-down': 'M20 13l5-9h-10z',
  };
  const dashes = { solid: '', dash: '9 5', dot: '2 3', dashdot: '8 3 2 3', longdash: '14 5', longdashdot: '14 3 2 3' };
  return el('ul', { class: 'legend' }, chosen.map((side) => {
    const { colour, dash, marker } = look(side.index);
    const line = svg('path', { d: 'M0 8h40', stroke: colour, 'stroke-width': 2.5, 'stroke-dasharray': dashes[dash] });
    const mark = svg('path', { d: shapes[marker], fill: colour, stroke: colour, 'stroke-width': 1.5 });
    return el('li', {}, svg('svg', { width: 40, height: 16, viewBox: '0 0 40 16', 'aria-hidden': 'true' }, line, mark),
      el('span', {}, side.name), el('small', {}, counted(side.runs.length, 'run')));
  }));
}
