/** What goes over the queue, and what is not believed. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeMessage, encodeMessage, MAX_MESSAGE_SLOTS } from '../../src/jobs/resign-message.ts'

const count = fc.nat()
const slot = fc.record(
  { issuer: count, k: fc.nat({ max: 24 }), slot: fc.nat({ max: 2 ** 24 - 1 }) },
  { noNullPrototype: true },
)
const message = fc.record(
  { lease: fc.string(), database: fc.nat(15), slots: fc.array(slot, { maxLength: MAX_MESSAGE_SLOTS }) },
  { noNullPrototype: true },
)

test('a message comes back from JSON as it was sent, and is far below 128 KB', () => {
  fc.assert(
    fc.property(message, (one) => {
      const text = JSON.stringify(encodeMessage(one))
      expect(decodeMessage(JSON.parse(text))).toEqual(one)
      expect(text.length).toBeLessThan(16_000)
    }),
  )
})

test.each([
  ['nothing', undefined],
  ['a text', 'resign'],
  ['a list', [1]],
  ['another version', { version: 2, lease: 'plan:1', slots: [] }],
  ['no lease', { version: 1, slots: [] }],
  ['no slots', { version: 1, lease: 'plan:1' }],
  ['a slot without its number', { version: 1, lease: 'plan:1', slots: [[1, 0]] }],
  ['a slot with more', { version: 1, lease: 'plan:1', slots: [[1, 0, 0, 0]] }],
  ['a negative number', { version: 1, lease: 'plan:1', slots: [[1, 0, -1]] }],
  ['a number in words', { version: 1, lease: 'plan:1', slots: [[1, 0, '1']] }],
  ['too many slots', { version: 1, lease: 'plan:1', slots: Array.from({ length: 101 }, () => [1, 0, 0]) }],
])('%s is no message', (_, body) => {
  expect(decodeMessage(body)).toBeUndefined()
})

test('whatever else comes is no message either, and never an exception', () => {
  fc.assert(
    fc.property(fc.anything(), (body) => {
      expect(decodeMessage(body)).toBeUndefined()
    }),
  )
})
