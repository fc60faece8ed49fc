// Writes prices.json and NOTICE from the npm package @pydantic/genai-prices: `make prices`, or with a version
// `make prices PRICES_VERSION=0.1.8`. The package holds its table as a literal in dist/index.cjs.
import {execFileSync} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import vm from 'node:vm';

const here = dirname(fileURLToPath(import.meta.url));
const wanted = '@pydantic/genai-prices@' + (process.argv[2] || 'latest');
const folder = mkdtempSync(join(tmpdir(), 'prices-'));
try {
  const packed = JSON.parse(execFileSync('npm', ['pack', wanted, '--json', '--loglevel=error'], {cwd: folder, encoding: 'utf8'}))[0];
  execFileSync('tar', ['xzf', packed.filename], {cwd: folder});
  const source = readFileSync(join(folder, 'package/dist/index.cjs'), 'utf8');
  const name = /const (\w+)=\[\{id:"/.exec(source)?.[1];
  if (!name) throw new Error('the package no longer holds its table as a literal: look at dist/index.cjs');
  const scope = {exports: {}, require: () => ({}), console};
  vm.runInNewContext(source + `;exports.table=${name}`, scope);
  const table = JSON.parse(JSON.stringify(scope.exports.table));
  const models = table.reduce((n, p) => n + p.models.length, 0);
  if (table.length < 20 || models < 500) throw new Error(`only ${table.length} providers with ${models} models: not written`);
  writeFileSync(join(here, 'prices.json'), print(table));
  writeFileSync(join(here, 'LICENSE'), readFileSync(join(folder, 'package/LICENSE')));
  writeFileSync(join(here, 'NOTICE'),
    `prices.json is the price table of genai-prices (https://github.com/pydantic/genai-prices), taken from the npm package\n` +
    `@pydantic/genai-prices ${packed.version} (${packed.shasum}), without descriptions and extractors, under the MIT licence in\nLICENSE.\n`);
  console.log(`${table.length} providers, ${models} models of @pydantic/genai-prices ${packed.version}`);
} finally {
  rmSync(folder, {recursive: true});
}

// print puts each model on a line of its own, so that a refresh reads well as a diff.
function print(table) {
  const keep = ['id', 'name', 'model_match', 'provider_match', 'fallback_model_providers', 'pricing_urls'];
  const providers = table.map((p) => {
    const head = keep.filter((k) => p[k] !== undefined).map((k) => `${JSON.stringify(k)}:${JSON.stringify(p[k])}`).join(',');
    const rows = p.models.map((m) => '  ' + JSON.stringify({id: m.id, match: m.match, prices: m.prices}));
    return `{${head},"models":[\n${rows.join(',\n')}\n]}`;
  });
  return `[\n${providers.join(',\n')}\n]\n`;
}
