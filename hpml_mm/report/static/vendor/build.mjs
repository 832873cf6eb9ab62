// Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
// Makes plotly.min.js and plotly.LICENSE.txt: `make plotly`.
//
// plotly.js documents two ways to a partial bundle: `npm run custom-bundle` in a clone
// of its repository, and lib/core with the traces that a page registers. This takes the
// second, from the npm package, with the options of its esbuild-config.js. Optuna draws
// parallel coordinates and slices as scatter too; nothing here needs WebGL or eval.
import { createRequire } from 'node:module';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { build } from 'esbuild';
import { environmentPlugin } from 'esbuild-plugin-environment';
import { glsl } from 'esbuild-plugin-glsl';

const inlineCss = createRequire(import.meta.url)('esbuild-plugin-inline-css');
const traces = ['bar', 'heatmap', 'contour'];  // scatter is in the core
const out = process.argv[2] ?? '.';

const { metafile } = await build({
  stdin: {
    contents: `const Plotly = require('plotly.js/lib/core');
      Plotly.register([${traces.map((name) => `require('plotly.js/lib/${name}')`)}]);
      module.exports = Plotly;`,
    resolveDir: process.cwd(),
  },
  outfile: `${out}/plotly.min.js`,
  bundle: true, minify: true, format: 'iife', globalName: 'Plotly', target: 'es2016',
  plugins: [inlineCss(), glsl({ minify: true }), environmentPlugin({ NODE_DEBUG: false })],
  alias: { regl: '@plotly/regl', stream: 'stream-browserify' },
  define: { global: 'window', 'define.amd': 'false' },
  banner: { js: '/* plotly.js, a part of it, and what it needs: see plotly.LICENSE.txt */' },
  charset: 'utf8', legalComments: 'none', metafile: true,
});

const used = new Set(Object.entries(Object.values(metafile.outputs)[0].inputs)
  .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
  .map(([path]) => path.match(/.*node_modules\/(@[^/]+\/[^/]+|[^/]+)/)?.[0])
  .filter(Boolean));
const texts = [...used].sort().map((folder) => {
  const { name, version, license } = JSON.parse(readFileSync(`${folder}/package.json`));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file ? readFileSync(`${folder}/${file}`, 'utf8') : `Licence: ${license}`;
  return `${name} ${version}\n\n${text.replaceAll('\r', '').trim()}\n`;
});
writeFileSync(`${out}/plotly.LICENSE.txt`, texts.join(`\n${'-'.repeat(72)}\n\n`));
