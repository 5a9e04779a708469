/** Worker entry. */
import { env, waitUntil } from 'cloudflare:workers'
import { compose } from './compose.ts'

const worker = compose(env, waitUntil)

export default {
  fetch: (request) => worker.fetch(request),
  scheduled: () => worker.scheduled(),
  queue: (batch) => worker.queue(batch),
} satisfies ExportedHandler
