// Puts a dashboard's queries to Prometheus, with Grafana's variables filled in.

/** What a query has given: its labels, and times with values. */
export interface Series {
  labels: Record<string, string>;
  points: [seconds: number, value: number][];
}

/** A stretch of time, in Unix seconds. */
export interface Span {
  from: number;
  to: number;
}

interface Result {
  metric: Record<string, string>;
  values?: [number, string][];
  value?: [number, string];
}

export class Prometheus {
  constructor(
    private readonly address: string,
    /** Seconds between two scrapes. */
    private readonly scrape: number,
    private readonly variables: Record<string, string>,
  ) {}

  /** The values over a span, one a step of so many seconds. */
  async range(expr: string, { from, to }: Span, step: number): Promise<Series[]> {
    const query = this.filledIn(expr, to - from, step);
    return this.ask('query_range', { query, start: `${from}`, end: `${to}`, step: `${step}` });
  }

  /** The values at the end of a span. */
  async instant(expr: string, { from, to }: Span): Promise<Series[]> {
    return this.ask('query', { query: this.filledIn(expr, to - from, this.scrape), time: `${to}` });
  }

  private filledIn(expr: string, range: number, step: number): string {
    // As Grafana computes it: long enough for a rate at every point.
    const interval = Math.ceil(Math.max(step + this.scrape, 4 * this.scrape));
    return Object.entries({ ...this.variables, __rate_interval: `${interval}s`, __range: `${Math.ceil(range)}s` })
      .sort(([a], [b]) => b.length - a.length)
      .reduce((filled, [name, value]) => filled.replaceAll(`$${name}`, value), expr);
  }

  private async ask(what: string, parameters: Record<string, string>): Promise<Series[]> {
    const answer = await fetch(`${this.address}/api/v1/${what}?${new URLSearchParams(parameters)}`);
    const body = (await answer.json()) as { error?: string; data: { result: Result[] } };
    if (body.error !== undefined) throw new Error(`${parameters['query']}: ${body.error}`);
    return body.data.result.map(({ metric, values, value }) => ({
      labels: metric,
      points: (values ?? (value ? [value] : [])).map(([time, number]) => [time, Number(number)]),
    }));
  }
}
