// The quick-start of OpenMeter's JavaScript client: one event in, and its meter says 1.
//
// Usage: node openmeter_quickstart.mjs ADDRESS. Needs `npm install @openmeter/sdk`.

import { randomUUID } from 'node:crypto'
import { HTTPError, OpenMeter } from '@openmeter/sdk'

const openmeter = new OpenMeter({ baseUrl: process.argv[2] })
const subject = `javascript-${randomUUID()}`
const event = {
  id: randomUUID(),
  type: 'api-calls',
  subject,
  data: { method: 'GET', path: '/hello', duration_ms: 1.5 },
}
await openmeter.events.ingest(event)
const meters = await openmeter.meters.list()
console.log('meters', meters.map((meter) => meter.slug))
const result = await openmeter.meters.query('api_calls_total', {
  subject: [subject],
  groupBy: ['method'],
  filterGroupBy: { method: 'GET' },
  from: new Date(Date.now() - 60_000),
  to: new Date(Date.now() + 60_000),
  windowSize: 'MINUTE',
})
if (result.data.length !== 1 || result.data[0].value !== 1) {
  throw new Error(`javascript: no value: ${JSON.stringify(result)}`)
}
console.log('javascript: value == 1', JSON.stringify(result.data[0]))
const events = await openmeter.events.list({ subject })
if (events.length !== 1 || events[0].event.id !== event.id) {
  throw new Error(`javascript: the event is not listed: ${JSON.stringify(events)}`)
}
try {
  await openmeter.meters.get('nothing')
  throw new Error('javascript: a meter that is not there')
} catch (error) {
  if (!(error instanceof HTTPError) || error.getField('status') !== 404) throw error
  console.log('javascript: a problem is read', error.message)
}
