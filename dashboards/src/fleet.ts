// What needs a look now: the riskiest agents, and what was raised.

import { LEARNED, UID, agents, alertsOf, bars, board, bySeverity, figure, leadingToAgent, lines, raisedOf } from './parts.js';

const RISK = 'max by (tenant, agent) (driftline_agent_risk)';

export const fleet = board(
  UID.fleet,
  'Fleet',
  'What needs a look now: the riskiest agents, and what was raised. An agent leads to its own dashboard.',
  [
    alertsOf(
      'High and critical alerts',
      'sum by (severity, detector) (increase(driftline_alerts_total{severity=~"high|critical"}[1m])) > 0',
    ),
  ],
  [],
  [
    [
      'Now',
      figure(
        {
          title: 'Critical and high alerts',
          decimals: 0,
          description:
            'In the time that is shown. Each is to be looked at by a person today: begin with the table of the riskiest agents below.',
          bounds: { warn: 1, alarm: 10 },
        },
        { expr: 'sum(increase(driftline_alerts_total{severity=~"high|critical"}[$__range]))' },
      ),
      figure(
        {
          title: 'Highest risk',
          decimals: 0,
          description:
            'Of all agents, 0 to 100. Above 50 an alert of high severity is not long ago; risk halves as time goes by without another.',
          bounds: { warn: 30, alarm: 60 },
        },
        { expr: 'max(driftline_agent_risk)' },
      ),
      figure(
        {
          title: 'Agents',
          description:
            'Whose state is held, over all instances. A jump means a new deployment, or made-up names: compare with what your platform has registered.',
        },
        { expr: 'sum(driftline_agents)' },
      ),
      figure(
        {
          title: 'New agents',
          description:
            'Share of the agents in memory that fewer than 20 sessions were learned of. What is said of them rests on their peers; expect less of it.',
          unit: 'percentunit',
        },
        { expr: 'sum(driftline_agents_warming_up) / sum(driftline_agents_in_memory > 0)' },
      ),
      figure(
        {
          title: 'Outside their documents',
          decimals: 0,
          description:
            'Alerts of the detector `identity`: tools and data that no identity document provides for, and agents without a document (shadow agents). Register what is meant to be, stop what is not.',
          bounds: { warn: 1, alarm: 50 },
        },
        { expr: 'sum(increase(driftline_alerts_total{detector="identity"}[$__range]))' },
      ),
      figure(
        {
          title: 'Refused acts',
          description:
            'Share of events that were denied. A rise means that permissions were changed, or that something tries doors: look for the alerts of `escalation`.',
          unit: 'percentunit',
          bounds: { warn: 0.1, alarm: 0.3 },
        },
        { expr: 'sum(rate(driftline_events_total{outcome="denied"}[10m])) / sum(rate(driftline_events_total[10m]))' },
      ),
    ],
    [
      'Agents',
      agents(
        {
          title: 'Riskiest agents',
          description:
            'Look at them from the top; an agent leads to its dashboard. The row `other` stands for all that have no series of their own: its risk is the highest among them.',
          bounds: { warn: 30, alarm: 60 },
        },
        {
          risk: RISK,
          alerts: raisedOf('$__range', 'tenant, agent'),
          events: 'sum by (tenant, agent) (increase(driftline_agent_events_total[$__range]))',
        },
      ),
      leadingToAgent(
        lines(
          {
            title: 'Risk of the riskiest',
            description:
              'A step up is an alert; a line that keeps being pushed up is an agent that keeps doing it. Several that step up together were reached by the same thing: look for a tool or a person they share.',
            bounds: { warn: 30, alarm: 60 },
            height: 10,
          },
          { expr: `topk(10, ${RISK.replace('risk)', 'risk{agent!="other"})')} > 0)`, legend: '{{agent}}' },
        ),
      ),
      lines(
        {
          title: 'Drift by dimension',
          description:
            'How far the evidence has come, at the agent that has come furthest, that it does the same tasks in another way; at 100 % there is an alert. Of many agents one is always some way there; one dimension that rises above its usual: look for what was changed for many, such as a model or a tool. `other` are the agents without a series of their own.',
          unit: 'percentunit',
          bounds: { warn: 0.8, alarm: 0.95 },
        },
        { expr: 'max by (dimension) (driftline_agent_drift{agent!="other"})', legend: '{{dimension}}' },
        { expr: 'max(driftline_agent_drift{agent="other"})', legend: 'other' },
      ),
      lines(
        {
          title: 'Budget used',
          description:
            'Alerts of learned behaviour in the last day, and how many may be false in a day (`detection.alert_budget`; 0 where a fixed level decides). Up to the budget they may all be; far above it something goes on, or the fleet has changed as a whole: see Detection quality.',
        },
        { expr: LEARNED, legend: 'alerts in a day' },
        { expr: 'max(driftline_alert_budget_per_day)', legend: 'budget' },
      ),
      lines(
        {
          title: 'Busiest of the riskiest',
          description:
            'Events a second. An agent whose line leaves its own past behind does more than it did, or less: compare on its dashboard.',
          unit: 'ops',
        },
        { expr: 'topk(10, sum by (tenant, agent) (driftline:agent_events:rate5m{agent!="other"}))', legend: '{{agent}}' },
      ),
      lines(
        {
          title: 'Agents without a series of their own',
          description:
            'Only the riskiest have one (`metrics.top_agents`). What the others do is counted in `other`; raise the bound where agents that you need to see are missing.',
        },
        { expr: 'sum(driftline_agents_left_out)', legend: 'left out' },
        { expr: 'sum(driftline_agents)', legend: 'all' },
      ),
    ],
    [
      'Alerts',
      bySeverity(
        bars(
          {
            title: 'Alerts by severity',
            description:
              'An ordinary day has few. A block of one colour is one cause seen at many agents: handle it once. What was raised, with its evidence, is in the alert log.',
          },
          { expr: 'sum by (severity) (increase(driftline_alerts_total[$__rate_interval]))', legend: '{{severity}}' },
        ),
      ),
      bars(
        {
          title: 'Alerts by detector',
          description:
            '`escalation`: refusals got round, grants. `identity`: acts outside the document. `novelty`: other tools and data than usual. `rate`: more or less than usual. `drift`: the same tasks in another way than before. `inventory`: what concerns many agents, such as those without a document. Ask the agent’s owner about `novelty` and `rate`, the permission’s owner about the others.',
        },
        { expr: 'sum by (detector) (increase(driftline_alerts_total[$__rate_interval]))', legend: '{{detector}}' },
      ),
      lines(
        {
          title: 'Events by outcome',
          description: 'A second. Errors that rise with nothing else are a broken tool; refusals that rise are worth a look.',
          unit: 'ops',
        },
        { expr: 'sum by (outcome) (rate(driftline_events_total[$__rate_interval]))', legend: '{{outcome}}' },
      ),
      lines(
        {
          title: 'Sessions',
          description:
            'A second: judged, and of these kept out of the baselines because they were alerted on. Where most are kept out, agents no longer learn: settle the alerts, or retire the document that is out of date.',
          unit: 'ops',
        },
        { expr: 'sum(rate(driftline_sessions_judged_total[$__rate_interval]))', legend: 'judged' },
        { expr: 'sum(rate(driftline_sessions_quarantined_total[$__rate_interval]))', legend: 'kept out' },
      ),
    ],
  ],
);
