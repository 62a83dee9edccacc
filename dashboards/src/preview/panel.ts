// What a page draws: panels of a dashboard with what Prometheus has answered. It goes into the page as JSON.

import type { Prometheus, Series, Span } from './prometheus.js';

/** The parts of a built dashboard that are drawn. */
export interface Board {
  title: string;
  description: string;
  panels: Panel[];
  annotations: { list: { expr?: string; iconColor: string; useValueForTime?: boolean }[] };
}

interface Panel {
  type: string;
  title: string;
  description?: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: { expr: string; legendFormat?: string; instant?: boolean }[];
  fieldConfig?: {
    defaults: {
      unit?: string;
      decimals?: number;
      thresholds?: { steps: { value: number | null; color: string }[] };
      min?: number;
      custom?: { drawStyle?: string };
    };
    overrides: { matcher: { options: string }; properties: { id: string; value: string | { fixedColor?: string } }[] }[];
  };
  transformations?: { id: string; options: { renameByName?: Record<string, string> } }[];
  options?: { content?: string };
}

/** A panel with its data. */
export interface Drawn {
  type: string;
  title: string;
  place: Panel['gridPos'];
  unit: string;
  decimals?: number | undefined;
  steps: { value: number | null; color: string }[];
  isBars: boolean;
  min: number;
  series: { name: string; color?: string; points: Series['points'] }[];
  rows: Record<string, string | number>[];
  /** Columns that hold a time, in milliseconds. */
  times: string[];
  text: string;
}

/** A page: panels, and the times that are marked in graphs, each with its colour. */
export interface Page {
  title: string;
  description: string;
  span: Span;
  panels: Drawn[];
  marks: [time: number, color: string][];
}

function legend(format: string, labels: Record<string, string>): string {
  return format.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label: string) => labels[label] ?? '');
}

/** Rows by agent, a column a query. */
function merged(columns: string[], answers: Series[][]): Drawn['rows'] {
  const rows = new Map<string, Record<string, string | number>>();
  answers.forEach((series, at) =>
    series.forEach(({ labels, points }) => {
      const key = JSON.stringify(labels);
      const row = rows.get(key) ?? { ...labels };
      row[columns[at]!] = points[0]?.[1] ?? 0;
      rows.set(key, row);
    }),
  );
  const order = columns[0]!;
  return [...rows.values()].sort((a, b) => Number(b[order] ?? 0) - Number(a[order] ?? 0));
}

async function drawn(panel: Panel, prometheus: Prometheus, span: Span, words: (text: string) => string): Promise<Drawn> {
  const { defaults, overrides } = panel.fieldConfig ?? { defaults: {}, overrides: [] };
  const targets = panel.targets ?? [];
  const isBars = defaults.custom?.drawStyle === 'bars';
  const step = Math.max(1, Math.round((span.to - span.from) / (isBars ? 60 : 240)));
  const answers = await Promise.all(
    targets.map(({ expr, instant }) =>
      instant ? prometheus.instant(expr, span) : prometheus.range(expr, span, step),
    ),
  );
  const isTable = panel.type === 'table';
  const named = Object.values(panel.transformations?.find(({ id }) => id === 'organize')?.options.renameByName ?? {});
  const series = answers.flatMap((answer, at) =>
    answer.map(({ labels, points }) => {
      const name = words(legend(targets[at]!.legendFormat ?? '', labels));
      const own = overrides.find(({ matcher }) => matcher.options === name)?.properties.find(({ id }) => id === 'color');
      const color = typeof own?.value === 'object' ? own.value.fixedColor : undefined;
      return { name, points, ...(color ? { color } : {}) };
    }),
  );
  return {
    type: panel.type,
    title: words(panel.title),
    place: panel.gridPos,
    unit: defaults.unit ?? 'short',
    decimals: defaults.decimals,
    steps: defaults.thresholds?.steps ?? [],
    isBars,
    min: defaults.min ?? 0,
    series: isTable ? [] : series,
    rows: isTable ? merged(named, answers) : [],
    times: overrides
      .filter(({ properties }) => properties.some(({ value }) => value === 'dateTimeAsIso'))
      .map(({ matcher }) => matcher.options),
    text: words(panel.options?.content ?? ''),
  };
}

/** Asks for all that a dashboard shows of a span. */
export async function page(
  board: Board,
  prometheus: Prometheus,
  span: Span,
  words: (text: string) => string,
): Promise<Page> {
  const panels = await Promise.all(board.panels.map((panel) => drawn(panel, prometheus, span, words)));
  const step = Math.max(1, Math.round((span.to - span.from) / 120));
  const marks = await Promise.all(
    board.annotations.list.map(async ({ expr, iconColor, useValueForTime }): Promise<Page['marks']> => {
      const points = (expr ? await prometheus.range(expr, span, step) : []).flatMap((series) => series.points);
      const times = new Set(points.map(([time, value]) => (useValueForTime ? value / 1000 : time)));
      // Where something goes on, only its beginning is marked.
      const begins = [...times].filter((time) => useValueForTime || !times.has(time - step));
      return begins.filter((time) => time >= span.from && time <= span.to).map((time) => [time, iconColor]);
    }),
  );
  return { title: board.title, description: board.description, span, panels, marks: marks.flat() };
}
