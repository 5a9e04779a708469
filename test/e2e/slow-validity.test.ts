import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PROJECT_ROOT, startServer, type TestServer } from '../support/server.ts'

/** In real time: `npm test` runs this file beside the others. */
const THREE_MINUTES_MS = 180_000

let server: TestServer
beforeAll(async () => {
  server = await startServer({ validity: '4m' })
})
afterAll(async () => {
  await server.stop()
})

test('npm start -- --validity 4m shows a new thisUpdate within three minutes without any request', {
  timeout: 2 * THREE_MINUTES_MS,
}, async () => {
  const before = await ask()
  await new Promise((resolve) => setTimeout(resolve, THREE_MINUTES_MS - (Date.now() - before.askedAt)))
  const logged = server.output().length
  const after = await ask()
  expect(after.thisUpdate).toBeGreaterThan(before.thisUpdate)
  // Not signed for this question: it was there, and is still good for at least a minute.
  expect(server.output().slice(logged)).toMatch(/POST good from (bundle|memory|cache)/)
  expect(after.nextUpdate - after.askedAt).toBeGreaterThan(60_000)
})

async function ask(): Promise<{ askedAt: number; thisUpdate: number; nextUpdate: number }> {
  const askedAt = Date.now()
  const { stdout } = await promisify(execFile)('sh', ['-c', server.openssl()[0] ?? ''], { cwd: PROJECT_ROOT })
  expect(stdout).toContain(': good')
  const time = (field: string) => Date.parse(new RegExp(`${field}: (.*)`).exec(stdout)?.[1] ?? '')
  return { askedAt, thisUpdate: time('This Update'), nextUpdate: time('Next Update') }
}
