// Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
// Charts, drawn one by one while the page stays usable, and again in another theme.

const charts = new Map();
const waiting = new Set();
let drawing = false;
const touch = matchMedia('(pointer: coarse)').matches;
const SETTINGS = {
  displaylogo: false, responsive: true, scrollZoom: false,
  displayModeBar: matchMedia('(hover: hover)').matches ? 'hover' : false,
  modeBarButtonsToRemove: ['lasso2d', 'select2d', 'autoScale2d'],
};

// Plotly reads some HTML in texts: names must not be it.
function plain(text) {
  return String(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

const narrow = matchMedia('(max-width: 40rem)');

// A text whose middle is left out; on a phone there is room for less.
function shorter(text, wanted = 40) {
  const most = narrow.matches ? wanted / 2 : wanted;
  return text.length <= most ? text : `${text.slice(0, most / 2 - 1)}…${text.slice(1 - most / 2)}`;
}

function axis(title, more = {}) {
  const { ink, line } = colours();
  return {
    title: { text: plain(title), standoff: 8 }, gridcolor: line, zerolinecolor: line,
    linecolor: line, tickcolor: line, color: ink, automargin: true, ...more,
  };
}

function layoutOf(more) {
  const { ink, muted, card, line } = colours();
  return {
    paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)',
    font: { family: 'system-ui, sans-serif', size: 12, color: ink },
    margin: { l: 56, r: 16, t: 12, b: 44 }, hovermode: 'closest', autosize: true,
    dragmode: touch ? false : 'zoom', height: 320, showlegend: false,
    hoverlabel: { bgcolor: card, bordercolor: line, font: { color: ink }, align: 'left' },
    legend: { orientation: 'h', y: -0.22, yanchor: 'top', x: 0 },
    modebar: { bgcolor: 'rgba(0,0,0,0)', color: muted, activecolor: ink },
    ...more,
  };
}

// `make` gives data and layout in the colours of now; `pick` gets a clicked point.
function chart(label, make, pick) {
  const box = el('div', { class: 'plot', role: 'img', 'aria-label': label });
  charts.set(box, { make, pick });
  request(box);
  return box;
}

function request(box) {
  waiting.add(box);
  document.documentElement.dataset.charts = 'waiting';
  if (!drawing) {
    drawing = true;
    setTimeout(drawNext);
  }
}

async function drawNext() {
  const [box] = waiting;
  if (box === undefined) {
    drawing = false;
    document.documentElement.dataset.charts = 'drawn';
    return;
  }
  waiting.delete(box);
  await draw(box);
  setTimeout(drawNext);
}

async function draw(box, changes = {}) {
  if (!box.isConnected) {
    if (box.data) Plotly.purge(box);
    charts.delete(box);
    return;
  }
  const { make, pick } = charts.get(box);
  const first = !box.data;
  const { data, layout } = make();
  await Plotly.react(box, data, { ...layoutOf(layout), ...changes }, SETTINGS);
  if (first && pick) box.on('plotly_click', ({ points }) => pick(points[0]));
}

// A figure with its caption, its points as a table, and its warnings.
function figure(title, content, { note, marks = [], table, wide = false } = {}) {
  return el('figure', { class: wide ? 'chart wide' : 'chart' },
    el('figcaption', {}, el('h4', {}, title), note ? el('p', {}, note) : null),
    content, marks.map(warning), table ? details('Numbers and their source', table) : null);
}

onTheme(() => charts.forEach((_, box) => request(box)));
addEventListener('beforeprint', () => {
  applyTheme('light');
  charts.forEach((_, box) => {
    const wide = box.closest('.wide') !== null;
    draw(box, { width: wide ? 680 : 330, autosize: false });
  });
  waiting.clear();
});
addEventListener('afterprint', () => applyTheme());
