/**
 * Knows when nothing is under way any more: every promise has settled but those that a test holds back. Cryptography runs on
 * other threads, so its calls are counted; without this a seed would not repeat its run.
 */
const COUNTED = ['sign', 'verify', 'digest', 'importKey', 'deriveKey', 'deriveBits', 'encrypt', 'decrypt']

let inFlight = 0
let isCounting = false

function count(): void {
  if (isCounting) return
  isCounting = true
  for (const name of COUNTED) {
    const original: unknown = Reflect.get(crypto.subtle, name)
    if (typeof original !== 'function') throw new TypeError(`no crypto.subtle.${name}`)
    Object.defineProperty(crypto.subtle, name, {
      configurable: true,
      async value(...values: unknown[]): Promise<unknown> {
        inFlight += 1
        try {
          const result: unknown = await Reflect.apply(original, crypto.subtle, values)
          return result
        } finally {
          inFlight -= 1
        }
      },
    })
  }
}

/** Resolves when two turns of the event loop in a row found nothing to do. */
export async function quiet(): Promise<void> {
  count()
  for (let idle = 0; idle < 2; ) {
    await new Promise((resolve) => setImmediate(resolve))
    idle = inFlight === 0 ? idle + 1 : 0
  }
}
