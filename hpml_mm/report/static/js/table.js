// Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
// A table that sorts, filters and selects, of native controls.
//
// A column: {key, label, value(item), cell(item)?, numeric?, hidden?}; value sorts and is
// searched, cell is shown. A facet: {label, value(item)}, a filter by equality.

const PAGE = 100;
const LONG = 40;
let tables = 0;

function dataTable({ caption, items, columns, facets = [], select, sort }) {
  const state = {
    sort: sort ?? null, words: '', facets: new Map(), page: PAGE,
    shown: new Set(columns.filter((column) => !column.hidden).map((column) => column.key)),
  };
  const id = `table${tables++}`;
  const count = el('p', { class: 'count', role: 'status' });
  const head = el('thead');
  const body = el('tbody');
  const more = el('button', { type: 'button', class: 'more', onclick: () => grow() }, 'Show more');
  const visible = () => columns.filter((column) => state.shown.has(column.key));

  function found() {
    const words = state.words.toLowerCase().split(/\s+/).filter(Boolean);
    const kept = items.filter((item) => {
      for (const [facet, value] of state.facets) {
        if (value !== '' && String(facet.value(item)) !== value) return false;
      }
      const text = columns.map((column) => column.value(item) ?? '').join(' ').toLowerCase();
      return words.every((word) => text.includes(word));
    });
    return state.sort ? sorted(kept, columns.find(({ key }) => key === state.sort.key)) : kept;
  }

  function sorted(kept, { value }) {
    const sign = state.sort.down ? -1 : 1;
    return [...kept].sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      const [noX, noY] = [x, y].map((one) => one === null || one === undefined || one === '');
      if (noX || noY) return noX - noY;  // what is not known is last, either way
      return sign * (isNumber(x) && isNumber(y) ? x - y
        : String(x).localeCompare(String(y), 'en', { numeric: true }));
    });
  }

  function sortBy(column) {
    const again = state.sort?.key === column.key;
    state.sort = { key: column.key, down: again ? !state.sort.down : Boolean(column.numeric) };
    drawHead();
    drawBody();
    head.querySelector(`[data-key="${CSS.escape(column.key)}"]`).focus();
  }

  function header(column) {
    const way = state.sort?.key === column.key ? (state.sort.down ? 'descending' : 'ascending') : 'none';
    const arrow = { none: '', ascending: ' ▲', descending: ' ▼' }[way];
    return el('th', { scope: 'col', 'aria-sort': way, class: column.numeric ? 'numeric' : null },
      el('button', { type: 'button', 'data-key': column.key, onclick: () => sortBy(column) },
        column.label, el('span', { 'aria-hidden': 'true' }, arrow)));
  }

  function drawHead() {
    const all = select && el('input', {
      type: 'checkbox', 'aria-label': 'Select all that are shown',
      onchange: () => select.change(found(), all.checked),
    });
    head.replaceChildren(el('tr', {},
      select ? el('th', { scope: 'col', class: 'pick' }, all) : null, visible().map(header)));
  }

  function line(item) {
    const box = select && el('input', {
      type: 'checkbox', 'aria-label': `Select ${select.label(item)}`,
      onchange: () => select.change([item], box.checked),
    });
    if (box) box.checked = select.has(item);
    const cells = visible().map((column, i) => {
      const content = column.cell ? column.cell(item)
        : column.numeric ? number(column.value(item)) : column.value(item) ?? '–';
      const long = (content.textContent ?? String(content)).length > LONG;
      const attributes = { class: column.numeric ? 'numeric' : long ? 'long' : null };
      return i === 0 ? el('th', { scope: 'row', ...attributes }, content)
        : el('td', attributes, content);
    });
    return el('tr', { class: box?.checked ? 'selected' : null },
      select ? el('td', { class: 'pick' }, box) : null, cells);
  }

  function drawBody() {
    const kept = found();
    body.replaceChildren(...kept.slice(0, state.page).map(line));
    more.hidden = kept.length <= state.page;
    const chosen = select ? `, ${items.filter(select.has).length} selected` : '';
    count.textContent = `${kept.length.toLocaleString('en')} of ${items.length.toLocaleString('en')} shown${chosen}`;
    const all = head.querySelector('.pick input');
    if (all) {
      const picked = kept.filter(select.has).length;
      all.checked = picked > 0 && picked === kept.length;
      all.indeterminate = picked > 0 && picked < kept.length;
    }
  }

  function grow() {
    state.page += 10 * PAGE;
    drawBody();
  }

  const search = el('input', { type: 'search', 'aria-controls': id, autocomplete: 'off',
    oninput: () => { state.words = search.value; drawBody(); } });
  const filters = facets.filter((facet) => unique(items.map(facet.value)).length > 1)
    .map((facet) => choice(facet.label,
      [['', 'all'], ...unique(items.map(facet.value).map(String)).sort().map((value) => [value, value])],
      '', (value) => { state.facets.set(facet, value); drawBody(); }));
  const optional = columns.some((column) => column.hidden) && el('details', {},
    el('summary', {}, 'Columns'), el('div', { class: 'ticks' }, columns.slice(1).map((column) =>
      tick(column.label, state.shown.has(column.key), (on) => {
        state.shown[on ? 'add' : 'delete'](column.key);
        drawHead();
        drawBody();
      }))));
  drawHead();
  drawBody();
  const small = items.length < 8 && !facets.length && !select;
  const table = el('table', { id }, el('caption', {}, caption), head, body);
  const node = el('div', { class: 'datatable' },
    small ? null : el('div', { class: 'controls' }, labelled('Filter', search), filters,
      optional || null, count),
    scrolling(caption, table), more);
  return { node, refresh: drawBody };
}

// Only this box scrolls sideways, by keyboard too.
function scrolling(label, table) {
  return el('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': label }, table);
}

function plainTable(caption, header, lines, numeric = () => false) {
  const kind = (content, i) => numeric(i) ? 'numeric'
    : (content.textContent ?? String(content)).length > LONG ? 'long' : null;
  const cell = (tag) => (content, i) =>
    el(tag, { class: kind(content, i), scope: tag === 'th' ? 'row' : null }, content);
  return scrolling(caption, el('table', {}, el('caption', {}, caption),
    el('thead', {}, el('tr', {}, header.map((name, i) =>
      el('th', { scope: 'col', class: numeric(i) ? 'numeric' : null }, name)))),
    el('tbody', {}, lines.map((cells) => el('tr', {},
      cells.map((content, i) => cell(i ? 'td' : 'th')(content, i)))))));
}
