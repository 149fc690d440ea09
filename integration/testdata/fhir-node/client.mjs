// Drives a FHIR server with fhir-kit-client and prints what it answered, one JSON line for
// each step. Argument: {"base": URL, "token": bearer token}.
import { Client } from 'fhir-kit-client';

const job = JSON.parse(process.argv[2]);
const client = new Client({ baseUrl: job.base, bearerToken: job.token });
const say = (step, value) => console.log(JSON.stringify({ step, ...value }));
const refused = async (step, action) => {
  try {
    await action();
    say(step, { status: 200 });
  } catch (error) {
    const outcome = error.response?.data ?? {};
    say(step, { status: error.response?.status ?? 0, type: outcome.resourceType, code: outcome.issue?.[0]?.code, expression: outcome.issue?.[0]?.expression?.[0], message: error.response ? undefined : String(error) });
  }
};

const patient = {
  resourceType: 'Patient', gender: 'female', birthDate: '1990-03-07', name: [{ text: '测试', family: '测', given: ['试'] }],
  identifier: [{ system: 'urn:oid:2.16.156.10011.1.3', value: job.resident }],
};
const capabilities = await client.capabilityStatement();
say('capabilities', { type: capabilities.fhirVersion });

const created = await client.create({ resourceType: 'Patient', body: patient });
say('create', { id: created.id, version: created.meta.versionId });
const again = await client.create({ resourceType: 'Patient', body: patient, options: { headers: { 'If-None-Exist': `identifier=urn:oid:2.16.156.10011.1.3|${job.resident}` } } });
say('conditional create', { id: again.id });
const read = await client.read({ resourceType: 'Patient', id: created.id });
say('read', { id: read.id, text: read.name[0].text });
const updated = await client.update({ resourceType: 'Patient', id: created.id, body: { ...read, active: true }, options: { headers: { 'If-Match': 'W/"1"' } } });
say('update', { id: updated.id, version: updated.meta.versionId });
await refused('stale update', () => client.update({ resourceType: 'Patient', id: created.id, body: { ...read, active: false }, options: { headers: { 'If-Match': 'W/"1"' } } }));
const old = await client.vread({ resourceType: 'Patient', id: created.id, version: '1' });
say('vread', { id: old.id, active: old.active ?? false });
const history = await client.history({ resourceType: 'Patient', id: created.id });
say('history', { count: history.entry.length });

for (let day = 1; day <= 5; day++) {
  await client.create({ resourceType: 'Observation', body: { resourceType: 'Observation', status: 'final', code: { coding: [{ system: 'http://loinc.org', code: '718-7' }] }, subject: { reference: `Patient/${created.id}` }, effectiveDateTime: `2026-03-0${day}` } });
}
let page = await client.search({ resourceType: 'Observation', searchParams: { patient: created.id, _count: 2, _sort: 'date' } });
const dates = [];
for (let pages = 0; page && pages < 5; pages++) {
  dates.push(...(page.entry ?? []).map((e) => e.resource.effectiveDateTime));
  page = page.link.some((l) => l.relation === 'next') ? await client.nextPage({ bundle: page }) : undefined;
}
say('search', { dates });

const urn = 'urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0';
const answer = await client.transaction({ body: { resourceType: 'Bundle', type: 'transaction', entry: [
  { fullUrl: urn, resource: { resourceType: 'Encounter', status: 'finished', class: { code: 'AMB' }, subject: { reference: `Patient/${created.id}` } }, request: { method: 'POST', url: 'Encounter' } },
  { resource: { resourceType: 'Procedure', status: 'completed', subject: { reference: `Patient/${created.id}` }, encounter: { reference: urn } }, request: { method: 'POST', url: 'Procedure' } },
] } });
say('transaction', { statuses: answer.entry.map((e) => e.response.status), locations: answer.entry.map((e) => e.response.location) });
const procedure = await client.search({ resourceType: 'Procedure', searchParams: { patient: created.id } });
say('resolved', { text: procedure.entry[0].resource.encounter.reference });

await refused('invalid', () => client.create({ resourceType: 'Patient', body: { resourceType: 'Patient', gender: 'M' } }));
await refused('unknown', () => client.read({ resourceType: 'Patient', id: 'nobody' }));
await client.delete({ resourceType: 'Patient', id: created.id });
await refused('deleted', () => client.read({ resourceType: 'Patient', id: created.id }));
await refused('stranger', () => new Client({ baseUrl: job.base }).read({ resourceType: 'Patient', id: created.id }));
await refused('reader', () => new Client({ baseUrl: job.base, bearerToken: job.reader }).create({ resourceType: 'Patient', body: patient }));
