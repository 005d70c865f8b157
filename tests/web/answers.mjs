// Answers against their description. Input: { description, answers: [{ method, path, status, media, body }] }.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const require = createRequire(join(process.env.TOOLS, 'node_modules/'));
const Ajv = require('ajv/dist/2020').default;

const { description, answers } = JSON.parse(readFileSync(0, 'utf8'));
const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true });
ajv.addSchema(description, 'api');
const pointer = (...parts) => parts.map((part) => encodeURIComponent(String(part).replaceAll('~', '~0').replaceAll('/', '~1'))).join('/');

let bad = 0;
for (const { method, path, status, media, body } of answers) {
    const responses = description.paths[path][method].responses;
    const place = status in responses
        ? pointer('paths', path, method, 'responses', status)
        : pointer('components', 'responses', 'Problem');
    const response = status in responses ? responses[status] : description.components.responses.Problem;
    const fits = response.content?.[media] && ajv.compile({ $ref: `api#/${place}/${pointer('content', media, 'schema')}` });
    if (!fits) {
        bad += 1;
        console.log(`${method} ${path} ${status}: ${media} is not described`);
    } else if (!fits(media.includes('json') ? JSON.parse(body) : body)) {
        bad += 1;
        console.log(`${method} ${path} ${status}: ${ajv.errorsText(fits.errors)}\n${body.slice(0, 500)}`);
    }
}
if (bad === 0) console.log(`${answers.length} answers fit`);
process.exitCode = bad === 0 ? 0 : 1;
