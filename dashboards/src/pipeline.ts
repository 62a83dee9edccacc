// Whether Driftline itself is well.

import { UID, alertsOf, bars, board, figure, lines } from './parts.js';

const quantiles = (metric: string) =>
  [0.5, 0.95, 0.99].map((quantile) => ({
    expr: `histogram_quantile(${quantile}, sum by (le) (rate(driftline_${metric}_duration_seconds_bucket[$__rate_interval])))`,
    legend: `${quantile * 100} %`,
  }));
const rate = (metric: string, legend: string) => ({
  expr: `sum(rate(driftline_${metric}_total[$__rate_interval]))`,
  legend,
});
const rateBy = (label: string, metric: string) => ({
  expr: `sum by (${label}) (rate(driftline_${metric}_total[$__rate_interval]))`,
  legend: `{{${label}}}`,
});

export const pipeline = board(
  UID.pipeline,
  'Pipeline',
  'Whether Driftline itself is well: what comes in, what waits, what is committed, and what goes out.',
  [alertsOf('Driftline’s own alerts', 'ALERTS{alertname=~"Driftline.*", alertstate="firing"}')],
  [],
  [
    [
      'Now',
      figure(
        {
          title: 'Instances ready',
          description:
            'Of those that run. Where one is not, `/readyz` of it says why, in words.',
          unit: 'percentunit',
        },
        { expr: 'sum(driftline_ready) / count(driftline_ready)' },
      ),
      figure(
        {
          title: 'Standing still',
          description:
            'Partitions, commits, sinks and scoring threads that should move and do not. Anything above 0 wants a look now; the runbooks of the alert say where to begin.',
          bounds: { alarm: 1 },
        },
        { expr: 'sum(driftline_stalled)' },
      ),
      figure(
        {
          title: 'Records waiting',
          description: 'In all partitions. What grows for long is not kept up with: add instances, up to as many as partitions.',
          bounds: { warn: 100_000, alarm: 1_000_000 },
        },
        { expr: 'sum(driftline_lag_records)' },
      ),
      figure(
        {
          title: 'Event time behind',
          description:
            'How far the newest event lies behind the clock of the machine. Much of it with no records waiting: the producers are late, or play history.',
          unit: 's',
        },
        { expr: 'min(driftline_event_time_delay_seconds)' },
      ),
      figure(
        {
          title: 'Partitions being restored',
          description:
            'They are not read before their state is back. It takes seconds for 100,000 agents; where it does not fall, see `/readyz`.',
          bounds: { warn: 1, alarm: 64 },
        },
        { expr: 'sum(driftline_restoring_partitions)' },
      ),
      figure(
        {
          title: 'Versions',
          description: 'How many different ones run. More than one outside of a deployment: finish it.',
          bounds: { warn: 2, alarm: 3 },
        },
        { expr: 'count(count by (version) (driftline_build_info))' },
      ),
    ],
    [
      'What comes in',
      lines(
        {
          title: 'Throughput',
          description:
            'Records read and events scored, a second. They differ by dead letters, repeats and records that are sent on. Nothing while records wait: see what stands still.',
          unit: 'ops',
        },
        rate('records', 'records read'),
        { expr: 'sum(driftline:events:rate5m)', legend: 'events scored, 5 min' },
        rate('forwarded_records', 'sent on to their partition'),
        rate('batches', 'batches'),
      ),
      lines(
        {
          title: 'Records waiting, by partition',
          description:
            'The twelve with most. All growing: too little power. One growing: its keys are unevenly spread, or it stands still.',
        },
        { expr: 'topk(12, max by (topic, partition) (driftline_lag_records))', legend: '{{topic}}/{{partition}}' },
      ),
      lines(
        {
          title: 'Time',
          description:
            'The clock is what windows and timers go by; it is the allowed lateness behind the newest event. It grows with time that passes where nothing comes. Where events come and it grows, one partition’s producers hold it back.',
          unit: 's',
        },
        { expr: 'max(driftline_event_time_delay_seconds)', legend: 'newest event behind' },
        { expr: 'time() - (max(driftline_watermark_timestamp_seconds) > 0)', legend: 'clock behind' },
      ),
      lines(
        {
          title: 'Events that are not as they should be',
          description:
            'A second. Late: the clock had passed them. Held: their time was in the future, see to the producer’s clock. Repeated: sent twice. Reused ids: two events with one id, see to the producer. Unknown fields: a newer producer, or a misspelt field.',
          unit: 'ops',
        },
        rate('late_events', 'late'),
        rate('clamped_events', 'held'),
        rate('repeated_events', 'repeated'),
        rate('reused_ids', 'reused ids'),
        rate('unknown_fields', 'unknown fields'),
      ),
      bars(
        {
          title: 'Dead letters',
          description:
            'Records that are no events, by why. They are kept with their bytes in the topic of dead letters: read one, and see to its producer.',
        },
        {
          expr: 'sum by (reason) (increase(driftline_dead_letters_total[$__rate_interval]))',
          legend: '{{reason}}',
        },
      ),
      bars(
        {
          title: 'Bounds reached',
          description:
            'By name under `[limits]`. What is beyond one is scored against the fleet and not remembered. A flood of made-up names shows here; a fleet that has grown wants a higher bound.',
        },
        { expr: 'sum by (limit) (increase(driftline_limit_hits_total[$__rate_interval]))', legend: '{{limit}}' },
      ),
    ],
    [
      'Scoring and state',
      lines(
        {
          title: 'Time to score a batch',
          description:
            'From its arrival until all of it is scored. It grows with the size of batches: compare with the lag. Large with no lag: agents are fetched back from the local store, give more memory.',
          unit: 's',
        },
        ...quantiles('scoring'),
      ),
      lines(
        {
          title: 'Agents',
          description:
            'Held, and in memory. Where they part, `instance.agents_in_memory` was reached: harmless as long as few come back.',
        },
        { expr: 'sum(driftline_agents)', legend: 'held' },
        { expr: 'sum(driftline_agents_in_memory)', legend: 'in memory' },
      ),
      lines(
        {
          title: 'Bytes of state in memory',
          description: 'By instance, about. Set the memory of the container to twice the highest, or lower `instance.agents_in_memory`.',
          unit: 'bytes',
        },
        { expr: 'sum by (instance) (driftline_state_bytes)', legend: '{{instance}}' },
      ),
      lines(
        {
          title: 'Agents going out of memory and coming back',
          description: 'A second. Coming back costs a read of the local store: where it is much, allow for more agents in memory.',
          unit: 'ops',
        },
        rate('evicted_agents', 'out'),
        rate('fetched_agents', 'back'),
      ),
      lines(
        {
          title: 'Restores',
          description:
            'State read back, a second: at starts and when partitions move. Again and again: instances lose their partitions, look at the restarts.',
          unit: 'ops',
        },
        rate('restored_agents', 'agents'),
        rate('restored_records', 'records'),
      ),
      lines(
        {
          title: 'Baselines',
          description:
            'Instances by the version of the published baseline that agents are known from; `none` where all is learned from the stream. Two for more than some minutes: an instance cannot read the store, see its `/readyz`.',
        },
        { expr: 'count by (version) (driftline_baseline_info)', legend: '{{version}}' },
      ),
      bars(
        {
          title: 'Sessions begun anew',
          description:
            'The work was taken up again from what was committed, because the group had moved on or a commit’s outcome was not known. Now and then is nothing; many in an hour want a look at the log.',
        },
        { expr: 'sum(increase(driftline_restarts_total[$__rate_interval]))', legend: 'begun anew' },
      ),
    ],
    [
      'What goes out',
      lines(
        {
          title: 'Time to commit',
          description:
            'A transaction with positions, alerts and state. Seconds: the brokers are slow, or the transaction’s coordinator is. Alerts are out only once they are committed.',
          unit: 's',
          bounds: { warn: 1, alarm: 5 },
        },
        ...quantiles('commit'),
      ),
      lines(
        {
          title: 'Commits under way, and tries that failed',
          description:
            'Tries that failed are made again for as long as it takes, and nothing is lost meanwhile; `/readyz` says what is in the way.',
        },
        { expr: 'sum(driftline_commit_under_way)', legend: 'under way' },
        {
          expr: 'sum by (condition) (increase(driftline_outage_waits_total[$__rate_interval]))',
          legend: 'waited: {{condition}}',
        },
      ),
      lines(
        {
          title: 'What stands still',
          description: 'By kind, as the watchdog sees it. The runbook of the alert of that name says what to do.',
          bounds: { alarm: 1 },
        },
        { expr: 'sum by (what) (driftline_stalled)', legend: '{{what}}' },
      ),
      lines(
        {
          title: 'Control records',
          description:
            'Applied, a second, and the last epoch that was closed. There is a clock record for each minute of event time, and an epoch for each hour. None while events come: partition 0 has no owner.',
          unit: 'ops',
        },
        rateBy('kind', 'control_records'),
        { expr: 'sum(changes(driftline_epoch[$__rate_interval]))', legend: 'epochs closed' },
      ),
      lines(
        {
          title: 'Alerts on their way to sinks',
          description:
            'Waiting, by sink. What waits is not lost: it goes out when the sink takes it. Where it grows, the sink’s pace is below what is raised, or the sink is down.',
        },
        { expr: 'sum by (sink) (driftline_sink_pending_alerts)', legend: '{{sink}}' },
      ),
      bars(
        {
          title: 'Delivered, tried again, rejected',
          description:
            'Rejected ones are not tried again: the sink’s configuration is wrong, see the log for its answer. The alert is still in the alert log.',
        },
        {
          expr: 'sum by (sink, outcome) (increase(driftline_sink_alerts_total[$__rate_interval]))',
          legend: '{{sink}} {{outcome}}',
        },
      ),
    ],
  ],
);
