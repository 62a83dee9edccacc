#!/usr/bin/env python3
"""Baselines from history beside DuckDB: time and peak memory over the same events, in one run on the same machine.

    cargo build --release -p driftline-jobs --features datafusion
    driftline simulate --agents 10000 --events 10000000 --attacks 0 --out events.ndjson
    pip install duckdb
    benches/duckdb/compare.py events.ndjson

DuckDB computes three aggregates: events by agent, tool and resource; events by agent and hour; quantiles of durations by agent.
`driftline-baseline query` computes the same in SQL, and `driftline-baseline build` all that a baseline holds, from files to a
published store. Each runs in a process of its own, with as many threads; the best of so many rounds counts.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

COLUMNS = (
    "{time: 'VARCHAR', agent: 'STRUCT(id VARCHAR)', action: 'STRUCT(name VARCHAR)', "
    "resource: 'STRUCT(id VARCHAR)', usage: 'STRUCT(duration_ms DOUBLE)'}"
)
AGGREGATES = [
    "SELECT count(*), sum(n) FROM (SELECT agent, tool, resource, count(*) AS n FROM {events} GROUP BY agent, tool, resource)",
    "SELECT count(*), sum(n) FROM (SELECT agent, date_trunc('hour', time) AS hour, count(*) AS n FROM {events} GROUP BY agent, hour)",
    "SELECT count(*), sum(q) FROM (SELECT agent, {quantile} AS q FROM {events} WHERE duration_ms IS NOT NULL GROUP BY agent)",
]
DUCKDB = """
import duckdb, sys
source, threads = sys.argv[1], int(sys.argv[2])
con = duckdb.connect(config={{"threads": threads}})
con.execute("SET TimeZone='UTC'")
con.execute({view!r}.format(source=source))
for statement in {statements!r}:
    print(con.execute(statement).fetchall())
"""
VIEWS = {
    "ndjson": "CREATE VIEW events AS SELECT CAST(time AS TIMESTAMPTZ) AS time, agent.id AS agent, action.name AS tool, "
    "resource.id AS resource, usage.duration_ms AS duration_ms FROM read_json('{source}', format='newline_delimited', "
    f"columns={COLUMNS.replace('{', '{{').replace('}', '}}')})",
    "parquet": "CREATE VIEW events AS SELECT * FROM read_parquet('{source}')",
}


def measured(name, command):
    """Runs a command; returns seconds, those of all processors together, and peak memory in MiB."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    if status != 0:
        sys.exit(f"{name}: {said}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def best(name, command, rounds):
    runs = [measured(name, command) for _ in range(rounds)]
    return tuple(min(run[i] for run in runs) for i in (0, 1)) + (max(run[2] for run in runs),)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events", type=pathlib.Path, help="NDJSON")
    parser.add_argument("--program", default="target/release/driftline-baseline")
    parser.add_argument("--archive", help="an archive of the same events, to build from")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()

    with args.events.open("rb") as file:
        events = sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 24), b""))
    statements = [text.format(events="events", quantile="approx_quantile(duration_ms, 0.5)") for text in AGGREGATES]
    ours = [text.format(events="events", quantile="approx_percentile_cont(duration_ms, 0.5)") for text in AGGREGATES]
    rows = []
    with tempfile.TemporaryDirectory(dir=args.events.parent) as folder:
        parquet = os.path.join(folder, "events.parquet")
        view = VIEWS["ndjson"].format(source=args.events)
        convert = f"import duckdb; con = duckdb.connect(); con.execute({view!r}); con.execute(\"COPY events TO '{parquet}' (FORMAT parquet)\")"
        subprocess.run([sys.executable, "-c", convert], check=True)
        for kind, source in [("parquet", parquet), ("ndjson", args.events)]:
            text = DUCKDB.format(view=VIEWS[kind], statements=statements)
            command = [sys.executable, "-c", text, str(source), str(args.threads)]
            rows.append((f"DuckDB, three aggregates from {kind}", *best("DuckDB", command, args.rounds)))
        queries = [
            best("query", [args.program, "query", statement, "--events", str(args.events)], args.rounds)
            for statement in ours
        ]
        took, cpu, peak = zip(*queries)
        rows.append(("driftline query, three aggregates from ndjson", sum(took), sum(cpu), max(peak)))
        inputs = [("ndjson", str(args.events))] + ([("an archive", args.archive)] if args.archive else [])
        for kind, source in inputs:
            store = os.path.join(folder, "store")
            command = [args.program, "build", source, "--store", store, "--threads", str(args.threads)]
            rows.append((f"driftline baseline build, all from {kind}", *best("build", command, args.rounds)))

    # Where others use the machine, processor time says more.
    of_parquet, of_ndjson = rows[0][2], rows[1][2]
    print(f"{events} events, {args.threads} threads, the best of {args.rounds}")
    print("The last two columns compare processor time.")
    print("| what | seconds | processor seconds | events/s | peak memory | of DuckDB from Parquet | of DuckDB from NDJSON |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for what, seconds, cpu, memory in rows:
        print(
            f"| {what} | {seconds:.2f} | {cpu:.2f} | {events / seconds:,.0f} | {memory:,.0f} MiB "
            f"| {cpu / of_parquet:.1f} | {cpu / of_ndjson:.2f} |"
        )


if __name__ == "__main__":
    main()
