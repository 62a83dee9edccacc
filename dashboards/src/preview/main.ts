// Draws the dashboards as a page each, light and dark, from what a Prometheus answers; Chromium takes their pictures.
//
//   npm run preview -- --prometheus http://127.0.0.1:9090 --minutes 10 --scrape 1 --out /tmp/preview
//
// It is no Grafana: it is for looking at what the queries give, and for the pictures in the documentation.

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { type Board, page } from './panel.js';
import { Prometheus } from './prometheus.js';

const { values } = parseArgs({
  options: {
    prometheus: { type: 'string', default: 'http://127.0.0.1:9090' },
    minutes: { type: 'string', default: '60' },
    scrape: { type: 'string', default: '15' },
    out: { type: 'string', default: 'preview' },
    chromium: { type: 'string', default: 'chromium' },
  },
});

const THEMES = {
  light: '--page:#f4f5f5;--panel:#fff;--ink:#24292e;--line:#e4e7eb;',
  dark: '--page:#111217;--panel:#181b1f;--ink:#ccccdc;--line:#2c2f36;',
};
const STYLE = `
body { margin: 0; padding: 16px; background: var(--page); color: var(--ink); font: 13px/1.4 "DejaVu Sans", sans-serif; }
header { margin: 0 4px 8px; } h1 { font-size: 18px; margin: 0; } header p { margin: 2px 0 0; opacity: .75; }
main { display: grid; grid-template-columns: repeat(24, 1fr); grid-auto-rows: 30px; gap: 6px; }
section { background: var(--panel); border: 1px solid var(--line); border-radius: 3px; padding: 6px 8px; overflow: hidden; min-width: 0; box-sizing: border-box; }
h2 { font-size: 14px; margin: 4px; align-self: center; } h3 { font-size: 13px; font-weight: 600; margin: 0 0 4px; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.figure { font-size: 30px; text-align: center; margin-top: 6px; } .nothing { text-align: center; opacity: .6; margin-top: 24px; }
.legend { display: flex; flex-wrap: wrap; gap: 0 12px; font-size: 11px; max-height: 32px; overflow: hidden; }
.legend span::before { content: ""; display: inline-block; width: 12px; height: 3px; margin-right: 5px; vertical-align: middle; background: var(--color); }
table { width: 100%; border-collapse: collapse; font-size: 12px; } td, th { text-align: left; padding: 4px 6px; border-bottom: 1px solid var(--line); } .number { text-align: right; }
pre { margin: 0; white-space: pre-wrap; font-size: 12px; }`;

const require = createRequire(import.meta.url);
const asset = (name: string) => readFileSync(require.resolve(`uplot/dist/${name}`), 'utf8');
const draw = readFileSync(new URL('draw.js', import.meta.url), 'utf8');
const built = new URL('../../built/', import.meta.url);

function html(theme: string, data: string): string {
  return `<!doctype html><meta charset="utf-8"><style>:root{${theme}}${asset('uPlot.min.css')}${STYLE}</style>
<header><h1></h1><p></p></header><main></main>
<script>${asset('uPlot.iife.min.js')}</script>
<script type="module">const PAGE = ${data};
${draw}</script>`;
}

const to = Math.floor(Date.now() / 1000);
const span = { from: to - 60 * Number(values.minutes), to };
const asking = new Prometheus(values.prometheus, Number(values.scrape), {});
// The agent that most was raised about.
const [worst] = await asking.instant(
  'topk(1, increase(driftline_agent_alerts_total{agent!="other"}[$__range]) + on (tenant, agent) driftline_agent_risk / 1000)',
  span,
);
const { agent = '' } = worst?.labels ?? {};
const prometheus = new Prometheus(values.prometheus, Number(values.scrape), { tenant: '.*', agent });
const words = (text: string) => text.replaceAll('$agent', agent);

const out = resolve(values.out);
mkdirSync(out, { recursive: true });
for (const file of readdirSync(built)) {
  const name = file.replace(/\.json$/, '');
  const board = JSON.parse(readFileSync(new URL(file, built), 'utf8')) as Board;
  // What agents are called comes from outside: it must not end the script.
  const data = JSON.stringify(await page(board, prometheus, span, words)).replaceAll('<', '\\u003c');
  const rows = Math.max(...board.panels.map(({ gridPos }) => gridPos.y + gridPos.h));
  for (const [theme, colors] of Object.entries(THEMES)) {
    const path = `${out}/${name}-${theme}`;
    writeFileSync(`${path}.html`, html(colors, data));
    const window = `--window-size=1500,${rows * 36 + 90}`;
    const flags = ['--headless=new', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--virtual-time-budget=3000', window];
    execFileSync(values.chromium, [...flags, `--screenshot=${path}.png`, `file://${path}.html`], { stdio: 'ignore' });
    console.log(`${path}.png`);
  }
}
