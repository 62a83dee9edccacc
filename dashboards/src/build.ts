// Writes the dashboards to built/. With --check it writes nothing, and fails where what is there is something else.

import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';

import { agent } from './agent.js';
import { detection } from './detection.js';
import { fleet } from './fleet.js';
import { pipeline } from './pipeline.js';

const folder = new URL('../built/', import.meta.url);
const boards = { agent, detection, fleet, pipeline };
const isCheck = process.argv.includes('--check');

const wrong = readdirSync(folder).filter((file) => !(file.replace(/\.json$/, '') in boards));
for (const [name, board] of Object.entries(boards)) {
  const file = new URL(`${name}.json`, folder);
  const built = JSON.stringify(board, null, 2) + '\n';
  if (!isCheck) {
    writeFileSync(file, built);
  } else if (!existsSync(file) || readFileSync(file, 'utf8') !== built) {
    wrong.push(`${name}.json`);
  }
}
if (wrong.length > 0) {
  console.error(`dashboards/built: ${wrong.join(', ')} is not what dashboards/src makes; run \`npm run build\` there`);
  process.exitCode = 1;
}
