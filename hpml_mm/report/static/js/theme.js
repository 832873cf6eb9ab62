// Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
// Light and dark, and the colours of charts: those of Okabe and Ito, which colour-blind
// readers tell apart. Dashes and markers are the second channel.

const PALETTES = {
  light: ['#0072B2', '#D55E00', '#009E73', '#CC79A7', '#000000', '#E69F00', '#56B4E9'],
  dark: ['#56B4E9', '#E69F00', '#009E73', '#CC79A7', '#FFFFFF', '#D55E00', '#F0E442'],
};
const DASHES = ['solid', 'dash', 'dot', 'dashdot', 'longdash', 'longdashdot'];
const MARKERS = ['circle', 'square', 'diamond', 'triangle-up', 'x', 'star', 'triangle-down'];
const darkSystem = matchMedia('(prefers-color-scheme: dark)');
const listeners = [];
let chosenTheme = 'system';

function theme() {
  if (chosenTheme !== 'system') return chosenTheme;
  return darkSystem.matches ? 'dark' : 'light';
}

function applyTheme(name = theme()) {
  document.documentElement.dataset.theme = name;
  for (const listener of listeners) listener();
}

function onTheme(listener) {
  listeners.push(listener);
}

function colours() {
  const name = document.documentElement.dataset.theme;
  const style = getComputedStyle(document.documentElement);
  const of = (variable) => style.getPropertyValue(`--${variable}`).trim();
  return {
    series: PALETTES[name],
    ink: of('ink'), muted: of('muted'), line: of('line'), card: of('card'),
    scale: [[0, of('card')], [1, of('heat')]],
  };
}

// The looks of the i-th of some series; 42 differ.
function look(i) {
  const { series } = colours();
  return {
    colour: series[i % series.length],
    dash: DASHES[i % DASHES.length],
    marker: MARKERS[i % MARKERS.length],
  };
}

function faint(colour, alpha) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return `rgba(${r},${g},${b},${alpha})`;
}

function themeSwitch() {
  return choice('Theme', [['system', 'as the system'], ['light', 'light'], ['dark', 'dark']],
    chosenTheme, (value) => {
      chosenTheme = value;
      applyTheme();
    });
}

darkSystem.addEventListener('change', () => applyTheme());
