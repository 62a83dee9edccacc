// One agent: how it stands, what it does against what it usually does, and how to come to the evidence.

import { UID, alertsOf, bars, board, choice, figure, lines, note } from './parts.js';

const THIS = 'tenant=~"$tenant", agent="$agent"';

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
  alertsOf('Alerts of this agent', `sum by (agent) (increase(driftline_agent_alerts_total{${THIS}}[1m])) > 0`),
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
            'In the time that is shown. None, and a risk above 0: they were before, take a longer time. An agent that has just come among the riskiest is counted from then on.',
          bounds: { warn: 1, alarm: 5 },
          width: 6,
        },
        { expr: `sum(increase(driftline_agent_alerts_total{${THIS}}[$__range]))` },
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
          expr: `sum(increase(driftline_agent_alerts_total{${THIS}}[$__range])) / (sum(increase(driftline_agent_alerts_total[$__range])) > 0)`,
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
      lines(
        {
          title: 'Drift',
          description:
            'How far the evidence has come, by dimension, that the agent does the same tasks in another way than before; at 100 % there is an alert, and it begins anew. One that rises over days: ask what was changed when it began to.',
          unit: 'percentunit',
          bounds: { warn: 0.5, alarm: 0.9 },
        },
        { expr: `max by (dimension) (driftline_agent_drift{${THIS}})`, legend: '{{dimension}}' },
      ),
      bars(
        {
          title: 'Alerts',
          description: 'When they were raised. Many at once are mostly one session: its id is in each of them.',
        },
        { expr: `sum(increase(driftline_agent_alerts_total{${THIS}}[$__rate_interval]))`, legend: 'alerts' },
      ),
      lines(
        {
          title: 'Activity against the usual',
          description:
            'Events a second, between what 5 % and 95 % of the last day were below. Above the band for long: a loop, or somebody else at the wheel. Below it: it was stopped, or does its work where nobody looks.',
          unit: 'ops',
          width: 24,
        },
        { expr: `sum(driftline:agent_events:rate5m{${THIS}})`, legend: 'now' },
        { expr: `sum(quantile_over_time(0.95, driftline:agent_events:rate5m{${THIS}}[1d]))`, legend: 'usual, high' },
        { expr: `sum(quantile_over_time(0.05, driftline:agent_events:rate5m{${THIS}}[1d]))`, legend: 'usual, low' },
      ),
    ],
    [
      'Evidence',
      note('What was raised', 'Where the evidence is, and how to come to it.', EVIDENCE, 6),
    ],
  ],
);
