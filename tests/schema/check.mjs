// Prints, for each file, what its YAML holds against a JSON Schema: { file: [error, ..] }.
// Arguments: the schema, then the files. TOOLS names the directory with node_modules.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

const need = createRequire(join(process.env.TOOLS, 'node_modules/'));
const Ajv = need('ajv/dist/2020').default;
const YAML = need('yaml');

const [schema, ...files] = process.argv.slice(2);
const validate = new Ajv({ strict: false, allErrors: true, validateFormats: false }).compile(
  JSON.parse(readFileSync(schema, 'utf8')));
const found = {};
for (const file of files) {
  const text = readFileSync(file, 'utf8');
  const document = YAML.parse(text, { logLevel: 'error' });
  found[basename(file)] = validate(document) ? [] : validate.errors.map((e) => `${e.instancePath}: ${e.message}`);
}
console.log(JSON.stringify(found));
