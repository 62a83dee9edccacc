// One agent: how it stands, what it does against what it usually does, and how to come to the evidence.

import { UID, alertsOf, bars, board, choice, figure, lines, marksAt, note, raisedOf, times } from './parts.js';

const THIS = 'tenant=~"$tenant", agent="$agent"';

const raised = (span: string) => raisedOf(span, 'agent', THIS);

const EVIDENCE = `Alerts with their evidence, steps and recommendation stand in the alert log. Of this agent:

\`\`\`
driftline dump --kafka BROKER --topic driftline.alerts --values | jq 'select(.agent.id == "$agent")'
\`\`\`

\`evidence\` says what was seen and what is usual, \`steps\` names the events, \`basis\` whether the act was undeclared, outside
what was granted, or unusual.`;

export const agent = board(
  UID.agent,
  'Agent',
  'One agent: how it stands, and what it does against what it usually does.',
  [
    alertsOf('Alerts of this agent', `${raised('1m')} > 0`),
    marksAt('Change points', `driftline_agent_change_timestamp_seconds{${THIS}}`, 'The agent does otherwise since here: {{dimension}}'),
  ],
  [
    // All of them, unless one is chosen: where there is but one, it has no name.
    choice('tenant', 'label_values(driftline_agent_risk{agent!="other"}, tenant)').includeAll(true).allValue('.*'),
    choice('agent', 'label_values(driftline_agent_risk{tenant=~"$tenant", agent!="other"}, agent)'),
  ],
  [
    [
      '$agent',
      figure(
        {
          title: 'Risk now',
          decimals: 0,
          description:
            '0 to 100. It rises with each alert by its severity, and falls as time goes by. It orders agents and decides nothing: what to do follows from the alerts.',
          bounds: { warn: 30, alarm: 60 },
          width: 6,
        },
        { expr: `max(driftline_agent_risk{${THIS}})` },
      ),
      figure(
        {
          title: 'Alerts in this time',
          decimals: 0,
          description:
            'In the time that is shown. None, and a risk above 0: they were before, take a longer time.',
          bounds: { warn: 1, alarm: 5 },
          width: 6,
        },
        { expr: raised('$__range') },
      ),
      figure(
        {
          title: 'Events in this time',
          decimals: 0,
          description: 'In the time that is shown. Few events are little to judge by.',
          width: 6,
        },
        { expr: `sum(increase(driftline_agent_events_total{${THIS}}[$__range]))` },
      ),
      figure(
        {
          title: 'Share of the fleet’s alerts',
          description:
            'Near 100 %: this agent is the matter, look at what it was told to do. Small: the cause is wider than this agent, go back to the fleet.',
          unit: 'percentunit',
          width: 6,
        },
        {
          expr: `sum(${raised('$__range')}) / (sum(${raisedOf('$__range', 'agent')}) > 0)`,
        },
      ),
      lines(
        {
          title: 'Risk',
          description:
            'Against the highest of the agents that have no series. Steps are alerts, which are marked: point at one to see when, then look it up in the alert log.',
          bounds: { warn: 30, alarm: 60 },
        },
        { expr: `max(driftline_agent_risk{${THIS}})`, legend: '$agent' },
        { expr: 'max(driftline_agent_risk{agent="other"})', legend: 'highest of the others' },
      ),
      times(
        {
          title: 'What was raised',
          description:
            'The last alert of each kind, and when it happened. `basis` in the alert log tells undeclared from unusual; the kind tells whom to ask: of what identity documents forbid whoever granted it, of what is unusual the owner of the agent.',
          height: 8,
        },
        'last',
        `max by (detector, kind, severity) (driftline_agent_last_alert_timestamp_seconds{${THIS}})`,
      ),
      bars(
        {
          title: 'Alerts',
          description: 'When they were raised. Many at once are mostly one session: its id is in each of them.',
        },
        { expr: raised('$__rate_interval'), legend: 'alerts' },
      ),
      lines(
        {
          title: 'Drift',
          description:
            'How far the evidence has come, by dimension, that the agent does the same tasks in another way than before; at 100 % there is an alert, and it begins anew. A blue line marks since when it does otherwise: ask what was changed then.',
          unit: 'percentunit',
          bounds: { warn: 0.5, alarm: 0.9 },
        },
        { expr: `max by (dimension) (driftline_agent_drift{${THIS}})`, legend: '{{dimension}}' },
      ),
      lines(
        {
          title: 'Tools that moved most',
          description:
            'Share of its sessions that call a tool, less the share that is usual in the same tasks, while there is evidence that something has changed. One up and one down by as much: one has taken the other’s place. Only up: find out who gave it that tool.',
          unit: 'percentunit',
        },
        { expr: `max by (tool) (driftline_agent_tool_change_ratio{${THIS}})`, legend: '{{tool}}' },
      ).min(-1),
      lines(
        {
          title: 'Activity against the usual',
          description:
            'Events a second, between what 5 % and 95 % of the last day were below. Above the band for long: a loop, or somebody else at the wheel. Below it: it was stopped, or does its work where nobody looks.',
          unit: 'ops',
        },
        { expr: `sum(driftline:agent_events:rate5m{${THIS}})`, legend: 'now' },
        { expr: `sum(quantile_over_time(0.95, driftline:agent_events:rate5m{${THIS}}[1d]))`, legend: 'usual, high' },
        { expr: `sum(quantile_over_time(0.05, driftline:agent_events:rate5m{${THIS}}[1d]))`, legend: 'usual, low' },
      ),
    ],
    [
      'Evidence',
      note('Where to read it', 'Where the evidence is, and how to come to it.', EVIDENCE, 6),
    ],
  ],
);
