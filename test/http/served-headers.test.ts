import { expect, test } from 'vitest'
import { answerHeaders, servedHeaders } from '../../src/http/cache-headers.ts'
import { type Answer, errorAnswer, type StatusAnswer, statusAnswer } from '../../src/responder/answer.ts'
import { TEST_POLICY } from '../support/pki.ts'

const now = 1_800_000_000

function answer(personal = false): Promise<StatusAnswer> {
  return statusAnswer({
    der: new Uint8Array([0x30, 0]),
    origin: 'bundle',
    issuer: 1,
    certStatus: 'good',
    hashAlgorithm: 'SHA-1',
    window: { thisUpdate: now - 60, producedAt: now - 60, nextUpdate: now + 3600 },
    told: [{ asOf: 1, revision: 1 }],
    personal,
    policy: TEST_POLICY,
  })
}

/** As a client sees them. */
function seen(given: Answer, at: number): [string, string][] {
  return [...new Response(null, { headers: servedHeaders(given, at) }).headers]
}

const plain = (given: Answer, at: number) => [...new Headers(answerHeaders(given, at))]

test('headers that are kept for a second say what fresh ones would, and no longer than that second (R2.10)', async () => {
  const [first, second] = [await answer(), await answer()]
  for (const at of [now, now + 1, now + 1, now + 1, now + 2, now])
    for (const given of [first, second, first, first]) expect(seen(given, at)).toEqual(plain(given, at))
  expect(servedHeaders(first, now)).toBe(servedHeaders(first, now))
  expect(servedHeaders(first, now + 1)).not.toBe(servedHeaders(first, now + 1))
  expect(servedHeaders(first, now + 1)).toBeInstanceOf(Headers)
})

test('headers of personal answers and of errors are not kept', async () => {
  for (const given of [await answer(true), errorAnswer(new Error('any'))])
    for (let i = 0; i < 3; i++) {
      expect(servedHeaders(given, now)).not.toBeInstanceOf(Headers)
      expect(seen(given, now)).toEqual(plain(given, now))
    }
})
