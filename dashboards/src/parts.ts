// What all dashboards are made of: panels in one style, each with a description that says what to do.

import type { Builder } from '@grafana/grafana-foundation-sdk/cog';
import * as common from '@grafana/grafana-foundation-sdk/common';
import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard';
import * as prometheus from '@grafana/grafana-foundation-sdk/prometheus';
import * as stat from '@grafana/grafana-foundation-sdk/stat';
import * as table from '@grafana/grafana-foundation-sdk/table';
import * as text from '@grafana/grafana-foundation-sdk/text';
import * as timeseries from '@grafana/grafana-foundation-sdk/timeseries';

const DATASOURCE = { type: 'prometheus', uid: '${datasource}' };

/** The dashboards, by what their addresses end in. */
export const UID = {
  fleet: 'driftline-fleet',
  agent: 'driftline-agent',
  pipeline: 'driftline-pipeline',
  detection: 'driftline-detection',
} as const;

/**
 * Leads to the dashboard of an agent. Its tenant is not passed on: Grafana leaves the name of a label that a series lacks as it
 * stands, and where there is one tenant, series lack it.
 */
const toAgent = (agent: string) => `/d/${UID.agent}?var-datasource=\${datasource}&var-agent=${agent}&\${__url_time_range}`;

/** Alerts of the last day that count against the alert budget: those of detectors that learn. */
export const LEARNED =
  'sum(increase(driftline_alerts_total{detector=~"novelty|network|context|target|exfiltration|rate|drift"}[1d]))';

/**
 * Alerts by agent in a stretch of time. Where an agent has come among the riskiest in it, its series begins with the alerts that
 * brought it there, and `increase` alone would leave these out.
 */
export function raisedOf(span: string, by: string, narrowed = ''): string {
  const alerts = `driftline_agent_alerts_total{${narrowed}}`;
  return `sum by (${by}) ((${alerts} unless ${alerts} offset ${span}) or increase(${alerts}[${span}]))`;
}

/** Colours of severities, and of what is good and bad. */
export const COLOR = {
  good: 'green',
  bad: 'red',
  severity: { info: 'gray', low: 'blue', medium: 'yellow', high: 'orange', critical: 'red' },
} as const;

/** What a panel says: its title, and what whoever looks at it should do. */
interface Words {
  title: string;
  /** What is shown, and what to do about it. */
  description: string;
  unit?: string;
  /** Digits behind the point; none for what is counted. */
  decimals?: number;
  /** Where the value turns to a warning, and to an alarm. */
  bounds?: { warn?: number; alarm: number };
  width?: number;
  height?: number;
}

/** A query, and what its series are called. */
export interface Query {
  expr: string;
  legend?: string;
}

function targets(queries: Query[], instant = false): prometheus.DataqueryBuilder[] {
  return queries.map(({ expr, legend }, at) => {
    const query = new prometheus.DataqueryBuilder()
      .refId(String.fromCharCode('A'.charCodeAt(0) + at))
      .datasource(DATASOURCE)
      .expr(expr)
      .legendFormat(legend ?? '');
    return instant ? query.instant().format(prometheus.PromQueryFormat.Table) : query.range();
  });
}

function thresholds({ bounds }: Words): dashboard.ThresholdsConfigBuilder {
  const steps: dashboard.Threshold[] = [{ value: null, color: COLOR.good }];
  if (bounds?.warn !== undefined) steps.push({ value: bounds.warn, color: 'orange' });
  if (bounds) steps.push({ value: bounds.alarm, color: COLOR.bad });
  return new dashboard.ThresholdsConfigBuilder().mode(dashboard.ThresholdsMode.Absolute).steps(steps);
}

/** Series over time. */
export function lines(words: Words, ...queries: Query[]): timeseries.PanelBuilder {
  const panel = new timeseries.PanelBuilder()
    .title(words.title)
    .description(words.description)
    .datasource(DATASOURCE)
    .targets(targets(queries))
    .unit(words.unit ?? 'short')
    .min(0)
    .lineWidth(2)
    .fillOpacity(8)
    .showPoints(common.VisibilityMode.Never)
    .thresholds(thresholds(words))
    .legend(
      new common.VizLegendOptionsBuilder()
        .showLegend(true)
        .displayMode(common.LegendDisplayMode.List)
        .placement(common.LegendPlacement.Bottom)
        .calcs([]),
    )
    .tooltip(new common.VizTooltipOptionsBuilder().mode(common.TooltipDisplayMode.Multi).sort(common.SortOrder.Descending))
    .span(words.width ?? 12)
    .height(words.height ?? 8);
  if (words.bounds) {
    panel.thresholdsStyle(new common.GraphThresholdsStyleConfigBuilder().mode(common.GraphThresholdsStyleMode.Dashed));
  }
  return panel;
}

/** Counts a step, stacked. */
export function bars(words: Words, ...queries: Query[]): timeseries.PanelBuilder {
  return lines(words, ...queries)
    .drawStyle(common.GraphDrawStyle.Bars)
    .fillOpacity(80)
    .lineWidth(0)
    .stacking(new common.StackingConfigBuilder().mode(common.StackingMode.Normal));
}

/** Gives each severity its colour. */
export function bySeverity(panel: timeseries.PanelBuilder): timeseries.PanelBuilder {
  Object.entries(COLOR.severity).forEach(([severity, fixedColor]) =>
    panel.overrideByName(severity, [{ id: 'color', value: { mode: 'fixed', fixedColor } }]),
  );
  return panel;
}

/** One number, as it is now. */
export function figure(words: Words, query: Query): stat.PanelBuilder {
  const panel = new stat.PanelBuilder()
    .title(words.title)
    .description(words.description)
    .datasource(DATASOURCE)
    .targets(targets([query]))
    .unit(words.unit ?? 'short')
    .thresholds(thresholds(words))
    .colorMode(words.bounds ? common.BigValueColorMode.Value : common.BigValueColorMode.None)
    .graphMode(common.BigValueGraphMode.Area)
    .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(['lastNotNull']))
    .span(words.width ?? 4)
    .height(words.height ?? 3);
  return words.decimals === undefined ? panel : panel.decimals(words.decimals);
}

/** A row for each set of labels, a column a query; the first query's value orders the rows. */
function rows(words: Words, columns: Record<string, string>): table.PanelBuilder {
  const named = Object.entries(columns).map(([name, expr], at) => ({ name, expr, value: `Value #${'ABCDEF'[at]}` }));
  const renameByName = Object.fromEntries(named.map(({ name, value }) => [value, name]));
  return new table.PanelBuilder()
    .title(words.title)
    .description(words.description)
    .datasource(DATASOURCE)
    .targets(targets(named, true))
    .withTransformation({ id: 'merge', options: {} })
    .withTransformation({ id: 'organize', options: { excludeByName: { Time: true }, renameByName } })
    .thresholds(thresholds(words))
    .sortBy([new common.TableSortByFieldStateBuilder().displayName(named[0]!.name).desc(true)])
    .decimals(0)
    .span(words.width ?? 12)
    .height(words.height ?? 10);
}

/** A row for each agent, which leads to its dashboard; the first query's value comes first. */
export function agents(words: Words, columns: Record<string, string>): table.PanelBuilder {
  const link = { title: 'What this agent does', url: toAgent('${__data.fields.agent}') };
  return rows(words, columns)
    .overrideByName('agent', [{ id: 'links', value: [link] }])
    .overrideByName(Object.keys(columns)[0]!, [
      { id: 'custom.cellOptions', value: { type: 'gauge', mode: 'basic' } },
      { id: 'min', value: 0 },
      { id: 'max', value: 100 },
    ]);
}

/** A row for each set of labels with a time, which a query gives in seconds; the latest first. */
export function times(words: Words, column: string, expr: string): table.PanelBuilder {
  // Grafana takes it as milliseconds.
  return rows(words, { [column]: `1000 * ${expr}` }).overrideByName(column, [{ id: 'unit', value: 'dateTimeAsIso' }]);
}

/** Has the series of a panel lead to the dashboard of their agent. */
export function leadingToAgent(panel: timeseries.PanelBuilder): timeseries.PanelBuilder {
  return panel.dataLinks([new dashboard.DashboardLinkBuilder('What this agent does').url(toAgent('${__field.labels.agent}'))]);
}

/** Words, in Markdown. */
export function note(title: string, description: string, content: string, height = 5): text.PanelBuilder {
  return new text.PanelBuilder()
    .title(title)
    .description(description)
    .mode(text.TextMode.Markdown)
    .content(content)
    .span(24)
    .height(height);
}

/** Alerts, drawn into every graph. */
export function alertsOf(name: string, expr: string): dashboard.AnnotationQueryBuilder {
  return new dashboard.AnnotationQueryBuilder()
    .name(name)
    .datasource(DATASOURCE)
    .enable(true)
    .iconColor(COLOR.bad)
    .expr(expr)
    .step('60s')
    .titleFormat('Alerts')
    .textFormat('{{severity}} {{detector}} {{agent}}');
}

/** Marks drawn into every graph where a query's value, in seconds, says so. */
export function marksAt(name: string, expr: string, text: string): dashboard.AnnotationQueryBuilder {
  return new dashboard.AnnotationQueryBuilder()
    .name(name)
    .datasource(DATASOURCE)
    .enable(true)
    .iconColor('blue')
    // Grafana takes it as milliseconds.
    .expr(`1000 * ${expr}`)
    .step('60s')
    .useValueForTime(true)
    .titleFormat(name)
    .textFormat(text);
}

/** A choice among the values of a label; the first one, where nothing else is chosen. */
export function choice(name: string, query: string): dashboard.QueryVariableBuilder {
  return new dashboard.QueryVariableBuilder(name)
    .label(name.charAt(0).toUpperCase() + name.slice(1))
    .datasource(DATASOURCE)
    .query({ query, refId: name })
    .refresh(dashboard.VariableRefresh.OnTimeRangeChanged)
    .sort(dashboard.VariableSort.AlphabeticalAsc);
}

/** Panels under a heading. */
export type Section = [heading: string, ...panels: Builder<dashboard.Panel>[]];

/** A dashboard of sections. */
export function board(
  uid: string,
  title: string,
  description: string,
  annotations: dashboard.AnnotationQueryBuilder[],
  variables: Builder<dashboard.VariableModel>[],
  sections: Section[],
): dashboard.Dashboard {
  const it = new dashboard.DashboardBuilder(`Driftline: ${title}`)
    .uid(uid)
    .description(description)
    .tags(['driftline'])
    .timezone('browser')
    .time({ from: 'now-6h', to: 'now' })
    .refresh('30s')
    .readonly()
    .tooltip(dashboard.DashboardCursorSync.Crosshair)
    .annotations(annotations)
    .variables([new dashboard.DatasourceVariableBuilder('datasource').label('Prometheus').type('prometheus'), ...variables])
    .link(
      new dashboard.DashboardLinkBuilder('Driftline')
        .type(dashboard.DashboardLinkType.Dashboards)
        .tags(['driftline'])
        .keepTime(true)
        .asDropdown(false),
    );
  for (const [heading, ...panels] of sections) {
    it.withRow(new dashboard.RowBuilder(heading));
    panels.forEach((panel) => it.withPanel(panel));
  }
  return it.build();
}
