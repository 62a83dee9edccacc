// Whether what is raised can be trusted.

import { LEARNED, UID, alertsOf, bars, board, figure, lines } from './parts.js';

const below = (p: string) =>
  `sum by (detector) (rate(driftline_p_value_bucket{le="${p}"}[1h])) / sum by (detector) (rate(driftline_p_value_count[1h]))`;

export const detection = board(
  UID.detection,
  'Detection quality',
  'Whether what is raised can be trusted: calibration, what is found and what becomes of it, and how much is still new.',
  [alertsOf('Alerts', 'sum by (severity, detector) (increase(driftline_alerts_total[1m])) > 0')],
  [],
  [
    [
      'Now',
      figure(
        {
          title: 'Level',
          description:
            'The probability that an honest session, or hour, is alerted on: what `detection.alert_budget` gives, or `detection.level`. Lower the budget where there is more than you can look at.',
          unit: 'percentunit',
          width: 6,
        },
        { expr: 'max(driftline_alert_level)' },
      ),
      figure(
        {
          title: 'Alert budget',
          decimals: 1,
          description:
            'False alerts of learned behaviour that are acceptable in a day, as configured (`detection.alert_budget`); 0 where a fixed level decides.',
          width: 6,
        },
        { expr: 'max(driftline_alert_budget_per_day)' },
      ),
      figure(
        {
          title: 'Alerts on deviations in a day',
          decimals: 0,
          description:
            'Of the detectors that learn, in the last day. Within the budget they may all be false; many times the budget, something is going on, or the fleet has changed as a whole.',
          width: 6,
        },
        { expr: LEARNED },
      ),
      figure(
        {
          title: 'Sessions kept out of the baselines',
          description:
            'Share of the sessions judged in the last hour. Above a few per cent agents no longer learn what they now do: settle the alerts, or correct the identity documents that are out of date.',
          unit: 'percentunit',
          bounds: { warn: 0.05, alarm: 0.2 },
          width: 6,
        },
        {
          expr: 'sum(rate(driftline_sessions_quarantined_total[1h])) / (sum(rate(driftline_sessions_judged_total[1h])) > 0)',
        },
      ),
    ],
    [
      'Calibration',
      lines(
        {
          title: 'p-values below 1 %',
          description:
            'Share of events, by detector, in the last hour. At most 1 % where nothing is wrong; a detector that is far above for hours calls the ordinary strange: do not trust its alerts until you know why, see the runbook of DriftlineDetectorUncalibrated. A detector that has nothing to say gives 1, and stays below.',
          unit: 'percentunit',
          bounds: { warn: 0.01, alarm: 0.05 },
        },
        { expr: below('0.01'), legend: '{{detector}}' },
      ),
      lines(
        {
          title: 'p-values below 5 %',
          description: 'As before, with 5 %. Both high: the fleet has changed. Only the one below 1 % high: a few events are very strange, look at the alerts.',
          unit: 'percentunit',
          bounds: { warn: 0.05, alarm: 0.15 },
        },
        { expr: below('0.05'), legend: '{{detector}}' },
      ),
      lines(
        {
          title: 'Events that a detector has something to say about',
          description:
            'Share with a p-value of 75 % or less. `novelty` judges most events; the others speak only where something is up. A line that falls to 0 and stays there is a detector that has fallen silent: see whether the fields that it needs still come.',
          unit: 'percentunit',
        },
        { expr: below('0.75'), legend: '{{detector}}' },
      ),
      lines(
        {
          title: 'New agents',
          description:
            'Agents in memory, and of these the ones that fewer than 20 sessions were learned of. Of new agents less is found; wait until they have settled before you judge a detector by them.',
        },
        { expr: 'sum(driftline_agents_in_memory)', legend: 'in memory' },
        { expr: 'sum(driftline_agents_warming_up)', legend: 'new' },
      ),
    ],
    [
      'What is found',
      bars(
        {
          title: 'Findings by detector',
          description:
            'What detectors found, before it is committed. Each becomes an alert; where alerts stay behind for long, commits fail.',
        },
        { expr: 'sum by (detector) (increase(driftline_findings_total[$__rate_interval]))', legend: '{{detector}}' },
      ),
      bars(
        {
          title: 'Alerts by detector',
          description:
            'By their strongest contributor. One detector with most of them for days: judge it by itself with `driftline evaluate` on events whose labels you know.',
        },
        { expr: 'sum by (detector) (increase(driftline_alerts_total[$__rate_interval]))', legend: '{{detector}}' },
      ),
      lines(
        {
          title: 'Alerts a thousand sessions',
          description:
            'In the last hour. What it is on a quiet day is your usual; a multiple of it is worth asking about even where no single alert is.',
        },
        {
          expr: '1000 * sum(increase(driftline_alerts_total[1h])) / (sum(increase(driftline_sessions_judged_total[1h])) > 0)',
          legend: 'alerts',
        },
      ),
      lines(
        {
          title: 'Events that were scored late or with their time held',
          description:
            'Share of the events. They are scored, but nothing is reopened for them: where it is much, sessions are judged without part of what was done. Raise `detection.allowed_lateness`, or see to the producers’ clocks.',
          unit: 'percentunit',
          bounds: { warn: 0.01, alarm: 0.05 },
        },
        {
          expr: 'sum(rate(driftline_late_events_total[10m])) / sum(rate(driftline_events_total[10m]))',
          legend: 'late',
        },
        {
          expr: 'sum(rate(driftline_clamped_events_total[10m])) / sum(rate(driftline_events_total[10m]))',
          legend: 'held',
        },
      ),
    ],
  ],
);
