import { expect, test } from 'vitest'
import { answerHeaders, servedHeaders } from '../../src/http/cache-headers.ts'
import { type Answer, errorAnswer, type StatusAnswer, statusAnswer } from '../../src/responder/answer.ts'
import { TEST_POLICY } from '../support/pki.ts'

const now = 1_800_000_000

function answer(personal = false, content = 0, seconds = 3600): Promise<StatusAnswer> {
  return statusAnswer({
    der: new Uint8Array([0x30, content]),
    origin: 'bundle',
    issuer: 1,
    certStatus: 'good',
    hashAlgorithm: 'SHA-1',
    window: { thisUpdate: now - 60, producedAt: now - 60, nextUpdate: now + seconds },
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
})

test('an answer that is given again has headers of its own; until then answers of one window share theirs', async () => {
  const [first, second] = [await answer(), await answer(false, 1)]
  expect(first.etag).not.toBe(second.etag)
  const once = servedHeaders(first, now + 10)
  expect(servedHeaders(second, now + 10)).toBe(once)
  expect(seen(second, now + 10)).toEqual(plain(second, now + 10))
  const own = servedHeaders(first, now + 10)
  expect(own).not.toBe(once)
  expect(servedHeaders(first, now + 10)).toBe(own)
  expect(servedHeaders(first, now + 11)).not.toBe(own)
})

test('answers of different windows and caps of max-age share nothing (R2.10)', async () => {
  const [one, other] = [await answer(), await answer(false, 2, 7200)]
  const capped = { ...(await answer(false, 3)), maxAgeSeconds: 60 }
  for (const at of [now + 20, now + 21])
    for (const each of [one, other, capped, one, capped, other])
      expect(seen(each, at)).toEqual(plain(each, at))
})

test('headers of personal answers and of errors are not kept', async () => {
  for (const given of [await answer(true), errorAnswer(new Error('any'))])
    for (let i = 0; i < 3; i++) {
      expect(servedHeaders(given, now)).not.toBeInstanceOf(Headers)
      expect(seen(given, now)).toEqual(plain(given, now))
    }
})
