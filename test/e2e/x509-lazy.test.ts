/** Answering OCSP never evaluates the X.509 module: it costs start-up time, and only administration needs it. */
import { expect, test } from 'vitest'
import { DEMO_NAMES, demoQuestion, getOCSP, postOCSP } from '../support/clients.ts'
import { startServer } from '../support/server.ts'

const REQUESTS = 1000

test(`${REQUESTS} OCSP requests after a start over existing state evaluate no X.509`, async () => {
  const first = await startServer()
  expect(await x509Evaluations(first.url), 'adding the issuer is what needs it').toBeGreaterThan(0)
  await first.stop({ keep: true })

  const server = await startServer({ state: first.state })
  const questions = DEMO_NAMES.flatMap((name) => [
    demoQuestion(server, name),
    demoQuestion(server, name, { hash: 'SHA-256' }),
    demoQuestion(server, name, { hash: 'SHA-384' }), // signed on demand
    demoQuestion(server, name, { nonce: true }), // and this for one client alone
  ])
  for (let i = 0; i < REQUESTS; i += questions.length) {
    await Promise.all(
      questions.map((der, j) => ((i / questions.length + j) % 2 === 0 ? getOCSP : postOCSP)(server.url, der)),
    )
  }
  expect(await x509Evaluations(server.url)).toBe(0)
  await server.stop()
  await first.stop()
})

async function x509Evaluations(url: string): Promise<unknown> {
  const body: unknown = await (await fetch(`${url}/healthz`)).json()
  return typeof body === 'object' && body !== null ? Reflect.get(body, 'x509Evaluations') : undefined
}
