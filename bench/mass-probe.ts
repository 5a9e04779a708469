/** Asks about certificates that a mass revocation does not concern, while it runs. */
import type { CA } from './cycle/ca.ts'
import { percentile } from './peers/figures.ts'
import { checkAnswer, question } from './world.ts'

/** First octet of serial numbers that stay good: one in 64. */
export const SPARED_FROM = 0x7f
export const SPARED_SHARE = 1 / 64
const PROBE_MS = 100

/** Asks about what is not revoked, in turn, at a fixed pace, whether the answer before has come or not. */
export class Probe {
  readonly #url: string
  readonly #ca: CA
  readonly #spared: readonly number[]
  readonly #times: number[] = []
  readonly #open = new Set<Promise<void>>()
  readonly #timer: NodeJS.Timeout
  #problems: string[] = []
  #asked = 0

  constructor(url: string, ca: CA) {
    this.#url = url
    this.#ca = ca
    this.#spared = indices(ca).filter((i) => isSpared(ca, i) && !ca.isRevoked(i))
    this.#timer = setInterval(() => {
      const asking = this.#ask().finally(() => this.#open.delete(asking))
      this.#open.add(asking)
    }, PROBE_MS)
  }

  async stop() {
    clearInterval(this.#timer)
    await Promise.all(this.#open)
    const times = this.#times.sort((a, b) => a - b)
    return {
      asked: this.#asked,
      right: times.length,
      wrong: this.#problems.length,
      problems: this.#problems.slice(0, 5),
      ms: { p50: percentile(times, 0.5), p99: percentile(times, 0.99), worst: times.at(-1) },
    }
  }

  async #ask(): Promise<void> {
    const at = this.#spared[this.#asked % this.#spared.length] ?? 0
    this.#asked += 1
    const serial = this.#ca.serial(at)
    const start = performance.now()
    try {
      const der = await post(this.#url, question(this.#ca.pki, [serial]))
      checkAnswer(der, this.#ca.pki, [serial])
      this.#times.push(performance.now() - start)
    } catch (error) {
      this.#problems.push(error instanceof Error ? error.message : String(error))
    }
  }
}

export async function post(url: string, body: Uint8Array): Promise<Uint8Array> {
  const headers = { 'Content-Type': 'application/ocsp-request' }
  const response = await fetch(url, { method: 'POST', headers, body: Buffer.from(body) })
  if (response.status !== 200) throw new Error(`HTTP ${response.status}`)
  return new Uint8Array(await response.arrayBuffer())
}

export function indices({ certificates }: CA): number[] {
  return Array.from({ length: certificates }, (_, i) => i)
}

export function isSpared(ca: CA, index: number): boolean {
  return (ca.serial(index)[0] ?? 0) >= SPARED_FROM
}
