/** Law 5: whatever signs or stores responses is on this list, and each place on it is behind the gate. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const SRC = join(import.meta.dirname, '../../src')
const sources = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => ({ name, text: readFileSync(join(SRC, name), 'utf8') }))
const filesWith = (pattern: RegExp) =>
  sources.flatMap(({ name, text }) => (pattern.test(text) ? name : [])).sort()
const textOf = (file: string) => sources.find(({ name }) => name === file)?.text ?? ''

test('the responder signs in two places alone, and to try a key (R8.1)', () => {
  const signers = filesWith(/\bsigner\.sign\(/).filter((name) => !name.startsWith('cli/dev/'))
  expect(signers).toEqual([
    'signing/build-slot.ts', // for bundles
    'signing/live-source.ts',
    'signing/signers.ts', // a key before its first use
    'signing/webcrypto-signer.ts', // whether key and certificate belong together
  ])
})

test('a bundle is stored in one place, after the gate and nowhere else', () => {
  expect(filesWith(/\.writeBundle\(/)).toEqual(['signing/resign-slot.ts'])
  expect(filesWith(/\bbuildSlot\(\{/)).toEqual(['signing/resign-slot.ts'])
  const text = textOf('signing/resign-slot.ts')
  const [gate, store] = [text.indexOf('await checkBundle('), text.indexOf('.writeBundle(')]
  expect(gate).toBeGreaterThan(0)
  expect(store).toBeGreaterThan(gate)
  expect(text.match(/checkBundle\(/g)).toHaveLength(1)
})

test('a live answer is made after the gate; others are copies of what passed it', () => {
  const makers = filesWith(/\breturn statusAnswer\(/)
  expect(makers).toEqual(['responder/bundle-source.ts', 'responder/live-copies.ts', 'signing/live-source.ts'])
  const text = textOf('signing/live-source.ts')
  const [signed, gate, made] = ['await signResponses(', 'checkResponse(der', 'return statusAnswer('].map(
    (part) => text.indexOf(part),
  )
  expect([signed, gate, made].every((at) => at !== undefined && at > 0)).toBe(true)
  expect([signed, gate, made]).toEqual([signed, gate, made].sort((a = 0, b = 0) => a - b))
})

test('the gate of bundles judges octets, not values, with the signature of each window', () => {
  const text = textOf('signing/check-bundle.ts')
  expect(text).toMatch(/\bseries\.judge\(der, /)
  expect(text).toContain('lintSignature(')
})
