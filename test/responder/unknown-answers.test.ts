/** A signed `unknown` must not stand in the way of the certificate that is recorded a moment later (R1.39, R6.8). */
import { expect, test } from 'vitest'
import type { StatusAnswer } from '../../src/responder/answer.ts'
import { AnswerMemory } from '../../src/responder/answer-memory.ts'

const T0 = 1_800_000_000

function answer(certStatus: StatusAnswer['certStatus']): StatusAnswer {
  return {
    responseStatus: 'successful',
    der: new Uint8Array(300),
    origin: 'live',
    issuer: 1,
    certStatus,
    unrecorded: certStatus === 'unknown',
    hashAlgorithm: 'SHA-256',
    profile: 'private',
    asOf: 5,
    told: [{ asOf: 5, revision: 0 }],
    personal: false,
    thisUpdate: T0 - 60,
    producedAt: T0,
    nextUpdate: T0 + 600,
    freshUntil: T0 + 600,
    maxAgeSeconds: 60,
    etag: '""',
    lastModified: '',
    expires: '',
  }
}

test('unknown is remembered for a minute, not for its whole window (R6.8)', () => {
  const memory = new AnswerMemory()
  memory.put('a', answer('unknown'), T0)
  memory.put('b', answer('good'), T0)
  expect(memory.find('a', 5, T0 + 59)?.certStatus).toBe('unknown')
  expect(memory.find('a', 5, T0 + 60)).toBeUndefined()
  expect(memory.find('b', 5, T0 + 60)?.certStatus).toBe('good')
})

test('unknown is forgotten at once where a certificate was recorded (R1.39)', () => {
  const memory = new AnswerMemory()
  memory.put('a', answer('unknown'), T0)
  memory.put('b', answer('good'), T0)
  memory.forgetUnknown()
  expect(memory.find('a', 5, T0)).toBeUndefined()
  expect(memory.find('b', 5, T0)?.certStatus).toBe('good')
})
