// Draws a page in the browser, with uPlot, the library that Grafana draws with as well.

import type uPlotType from 'uplot';
import type { Drawn, Page } from './panel.js';

declare const uPlot: typeof uPlotType;
declare const PAGE: Page;

const COLORS: Record<string, string> = {
  green: '#56a64b', red: '#e02f44', orange: '#ff780a', yellow: '#e0b400', blue: '#3274d9', gray: '#8e8e96',
};
const PALETTE = ['#3274d9', '#ff780a', '#56a64b', '#b877d9', '#e0b400', '#37bfd1', '#e02f44', '#8f3bb8', '#96d98d', '#ffa6b0', '#6e9fff', '#c0a16b'];
const style = getComputedStyle(document.documentElement);
const ink = style.getPropertyValue('--ink');
const line = style.getPropertyValue('--line');

function scaled(value: number, units: string[], base: number): string {
  let at = 0;
  while (Math.abs(value) >= base && at < units.length - 1) {
    value /= base;
    at += 1;
  }
  return `${Number(value.toPrecision(3))}${units[at]}`;
}

function shown(value: number | null | undefined, unit: string): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  switch (unit) {
    case 'percentunit':
      return `${Number((100 * value).toPrecision(3))} %`;
    case 's':
      if (value >= 172_800) return `${Math.round(value / 86_400)} d`;
      return value < 1 ? scaled(value * 1e6, [' µs', ' ms'], 1000) : `${Number(value.toPrecision(3))} s`;
    case 'bytes':
      return scaled(value, [' B', ' KiB', ' MiB', ' GiB'], 1024);
    case 'ops':
      return `${scaled(value, ['', ' k', ' M'], 1000)}/s`;
    default:
      return scaled(value, ['', ' k', ' M', ' G'], 1000);
  }
}

const short = PAGE.span.to - PAGE.span.from < 1800;
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', ...(short ? { second: '2-digit' } : {}) });

function element(kind: string, className: string, text = ''): HTMLElement {
  const made = document.createElement(kind);
  made.className = className;
  made.textContent = text;
  return made;
}

/** The colour of the highest threshold that a value has reached. */
function judged(value: number, steps: Drawn['steps']): string {
  const reached = steps.filter((step) => step.value === null || value >= step.value).at(-1);
  return steps.length > 1 ? (COLORS[reached?.color ?? ''] ?? ink) : ink;
}

function figure(panel: Drawn, into: HTMLElement): void {
  const value = panel.series[0]?.points.map(([, it]) => it).filter(Number.isFinite).at(-1);
  const rounded = value === undefined || panel.decimals === undefined ? value : Number(value.toFixed(panel.decimals));
  const text = element('div', 'figure', shown(rounded, panel.unit));
  text.style.color = value === undefined ? ink : judged(value, panel.steps);
  into.append(text);
}

function table(panel: Drawn, into: HTMLElement): void {
  const columns = Object.keys(panel.rows[0] ?? {});
  const made = element('table', '');
  const head = element('tr', '');
  head.append(...columns.map((column) => element('th', '', column)));
  made.append(head);
  const room = Math.floor((into.clientHeight - 50) / 27);
  for (const row of panel.rows.slice(0, room)) {
    const tr = element('tr', '');
    for (const column of columns) {
      const value = row[column];
      const isTime = typeof value === 'number' && panel.times.includes(column);
      const text = isTime ? new Date(value).toISOString().slice(0, 19).replace('T', ' ') : typeof value === 'number' ? `${Math.round(value)}` : value;
      const td = element('td', typeof value === 'number' ? 'number' : '', text);
      if (column === 'risk' && typeof value === 'number') {
        const color = judged(value, panel.steps);
        td.style.background = `linear-gradient(90deg, ${color}66 ${value}%, transparent ${value}%)`;
      }
      tr.append(td);
    }
    made.append(tr);
  }
  into.append(made);
}

/** Thresholds and what is marked, as dashed lines. */
function marks(panel: Drawn): uPlotType.Plugin {
  return {
    hooks: {
      draw: (plot) => {
        const { ctx, bbox } = plot;
        const stroke = (color: string, x0: number, y0: number, x1: number, y1: number) => {
          ctx.save();
          ctx.strokeStyle = color;
          ctx.setLineDash([4, 4]);
          ctx.lineWidth = 1;
          ctx.beginPath();
          ctx.moveTo(x0, y0);
          ctx.lineTo(x1, y1);
          ctx.stroke();
          ctx.restore();
        };
        for (const { value, color } of panel.steps.slice(1)) {
          if (value === null || value > (plot.scales['y']!.max ?? 0)) continue;
          const y = plot.valToPos(value, 'y', true);
          stroke(COLORS[color] ?? ink, bbox.left, y, bbox.left + bbox.width, y);
        }
        for (const [time, color] of PAGE.marks) {
          const x = plot.valToPos(time, 'x', true);
          stroke(`${COLORS[color] ?? ink}99`, x, bbox.top, x, bbox.top + bbox.height);
        }
      },
    },
  };
}

function graph(panel: Drawn, into: HTMLElement): void {
  const times = [...new Set(panel.series.flatMap(({ points }) => points.map(([time]) => time)))].sort((a, b) => a - b);
  let columns = panel.series.map(({ points }) => {
    const at = new Map(points);
    return times.map((time) => {
      const value = at.get(time);
      return value === undefined || !Number.isFinite(value) ? null : value;
    });
  });
  const colors = panel.series.map(({ color }, at) => COLORS[color ?? ''] ?? PALETTE[at % PALETTE.length]!);
  let order = panel.series.map((_, at) => at);
  if (panel.isBars) {
    // Each on top of those before it; the tallest is drawn first.
    let sum = times.map(() => 0);
    columns = columns.map((column) => (sum = sum.map((before, at) => before + (column[at] ?? 0))));
    order = order.reverse();
  }
  const bars = panel.isBars && uPlot.paths.bars ? { paths: uPlot.paths.bars({ size: [0.9, 12] }) } : {};
  const legend = element('div', 'legend');
  panel.series.forEach(({ name }, at) => {
    const item = element('span', '', name);
    item.style.setProperty('--color', colors[at]!);
    legend.append(item);
  });
  const host = element('div', 'graph');
  into.append(host, legend);
  const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line } };
  new uPlot(
    {
      width: into.clientWidth - 16,
      height: into.clientHeight - 38 - legend.offsetHeight,
      legend: { show: false },
      cursor: { show: false },
      scales: {
        x: { time: true, range: [PAGE.span.from, PAGE.span.to] },
        y: { range: (_, min, max) => [panel.min < 0 && min < 0 ? min * 1.08 : 0, max > 0 ? max * 1.08 : 1] },
      },
      axes: [{ ...axis, space: 90, values: (_, ticks) => ticks.map((tick) => clock.format(1000 * tick)) }, { ...axis, size: 70, values: (_, ticks) => ticks.map((tick) => shown(tick, panel.unit)) }],
      series: [
        {},
        ...order.map((at) => ({
          stroke: colors[at]!,
          fill: colors[at]! + (panel.isBars ? 'ff' : '14'),
          width: panel.isBars ? 0 : 1.5,
          points: { show: false },
          ...bars,
        })),
      ],
      plugins: [marks(panel)],
    },
    [times, ...order.map((at) => columns[at]!)],
    host,
  );
}

document.title = PAGE.title;
document.querySelector('h1')!.textContent = PAGE.title;
document.querySelector('header p')!.textContent = PAGE.description;
const main = document.querySelector('main')!;
for (const panel of PAGE.panels) {
  const { x, y, w, h } = panel.place;
  const box = element(panel.type === 'row' ? 'h2' : 'section', '', panel.type === 'row' ? panel.title : '');
  box.style.gridArea = `${y + 1} / ${x + 1} / span ${h} / span ${w}`;
  main.append(box);
  if (panel.type === 'row') continue;
  box.append(element('h3', '', panel.title));
  const isEmpty = panel.series.length === 0 && panel.rows.length === 0 && panel.text === '';
  if (isEmpty) box.append(element('div', 'nothing', 'No data'));
  else if (panel.type === 'stat') figure(panel, box);
  else if (panel.type === 'table') table(panel, box);
  else if (panel.type === 'text') box.append(element('pre', '', panel.text));
  else graph(panel, box);
}
