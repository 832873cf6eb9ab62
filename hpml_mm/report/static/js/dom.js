// Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
// Elements and numbers. Text becomes a text node, never HTML.

const SVG = 'http://www.w3.org/2000/svg';

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function isNumber(value) {
  return typeof value === 'number' && Number.isFinite(value);
}

// Four digits, thousands apart; nothing for what is not known.
function number(value, digits = 4) {
  if (!isNumber(value)) return value === null || value === undefined ? '–' : String(value);
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e15) return value.toLocaleString('en');
  if (size >= 10 ** (digits - 1) && size < 1e15) return Math.round(value).toLocaleString('en');
  if (size < 1e-4 || size >= 1e15) return value.toExponential(2);
  return String(Number(value.toPrecision(digits)));
}

// A mean has as many decimals as its spread, which has two digits.
function spread(mean, deviation) {
  if (!isNumber(deviation)) return number(mean);
  if (deviation === 0) return `${number(mean)} ± 0`;
  const decimals = Math.min(8, Math.max(0, 1 - Math.floor(Math.log10(deviation))));
  const text = (value) =>
    value.toLocaleString('en', { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  return `${text(mean)} ± ${text(deviation)}`;
}

function duration(seconds) {
  if (!isNumber(seconds)) return '–';
  if (seconds < 120) return `${number(seconds, 3)} s`;
  if (seconds < 7200) return `${number(seconds / 60, 3)} min`;
  return `${number(seconds / 3600, 3)} h`;
}

function day(text) {
  return text ? text.slice(0, 16).replace('T', ' ') : '–';
}

function counted(count, noun, several = `${noun}s`) {
  return `${count.toLocaleString('en')} ${count === 1 ? noun : several}`;
}

function unique(values) {
  return [...new Set(values)];
}

function details(summary, ...children) {
  return el('details', {}, el('summary', {}, summary), ...children);
}

function warning(text) {
  return el('p', { class: 'mark' }, el('span', { 'aria-hidden': 'true' }, '⚠ '), text);
}

function labelled(label, control) {
  return el('label', { class: 'control' }, el('span', {}, label), control);
}

function choice(label, values, chosen, onchange) {
  const options = values.map(([value, text]) =>
    el('option', { value, selected: value === chosen }, text));
  const control = el('select', { onchange: () => onchange(control.value) }, options);
  return labelled(label, control);
}

function tick(label, checked, onchange) {
  const control = el('input', { type: 'checkbox', onchange: () => onchange(control.checked) });
  control.checked = checked;
  return el('label', { class: 'tick' }, control, el('span', {}, label));
}
