/**
 * Measures the propagation bound B: a canary is put on hold or released, published as every change is, and waited for as a data
 * centre waits for it, by reading the root from KV. What is seen here is seen where the cron runs; from elsewhere
 * `edge-ocsp canary watch` measures the same through the responder itself.
 */

import type { AdminStore } from '../ports/admin-store.ts'
import type { Canary, CanaryChange, CanaryStore } from '../ports/canary-store.ts'
import type { Clock, DerivedStore } from '../ports/ports.ts'
import type { Sequence } from '../ports/records.ts'
import { OverlayRoot } from './root.ts'

export interface CanaryPorts {
  readonly canaries: CanaryStore
  readonly record: Pick<AdminStore, 'changeStatus' | 'readCertificate'>
  readonly publishChange: (issuer: number, revision: Sequence) => Promise<unknown>
  /** With KV's own caching, as the request path reads it. */
  readonly derived: Pick<DerivedStore, 'readRoot'>
  readonly clock: Clock
  readonly sleep: (ms: number) => Promise<void>
  readonly boundMs: number
}

/** The next run goes on with what is not seen by then. */
const LOOKS = 8
const PAUSE_MS = 5_000

/** One round of every canary: the last change is looked for; once it was seen, the next is made. */
export async function runCanaries(ports: CanaryPorts): Promise<void> {
  const enabled = (await ports.canaries.listCanaries()).filter((canary) => canary.enabled)
  const waiting: { issuer: number; seq: Sequence; changedMs: number }[] = []
  for (const canary of enabled) {
    const open = isSeen(canary) ? await changeCanary(ports, canary) : canary
    if (open !== undefined) waiting.push(open)
  }
  for (let look = 0; waiting.length > 0; look += 1) {
    const root = await readRoot(ports)
    const nowMs = ports.clock.nowMs()
    for (const [i, { issuer, seq, changedMs }] of [...waiting.entries()].reverse()) {
      const isSeen = (root?.issuer(issuer)?.head ?? 0) >= seq
      if (nowMs - changedMs > ports.boundMs) await ports.canaries.noteLate(issuer, seq)
      if (!isSeen) continue
      await ports.canaries.noteSeen(issuer, seq, nowMs)
      waiting.splice(i, 1)
    }
    if (look === LOOKS || waiting.length === 0) break
    await ports.sleep(PAUSE_MS)
  }
}

function isSeen({ seq, seenMs }: Canary): boolean {
  return seq === 0 || seenMs > 0
}

/**
 * Puts it on hold or releases it, and publishes that.
 * @param supersede although the change before was not seen yet
 * @returns undefined when another run has changed it, or nobody can
 */
export async function changeCanary(
  ports: Pick<CanaryPorts, 'canaries' | 'record' | 'publishChange' | 'clock'>,
  { issuer, serial }: Canary,
  supersede = false,
): Promise<CanaryChange | undefined> {
  const row = await ports.record.readCertificate(issuer, serial)
  const changedMs = ports.clock.nowMs()
  const to = row?.status === 'hold' ? 'released' : 'hold'
  const { outcome, revision } = await ports.record.changeStatus(issuer, serial, { to }, changedMs)
  if (outcome !== 'changed' || !(await ports.canaries.noteChange(issuer, revision, changedMs, supersede)))
    return undefined
  await ports.publishChange(issuer, revision)
  return { issuer, seq: revision, changedMs, to }
}

async function readRoot(ports: CanaryPorts): Promise<OverlayRoot | undefined> {
  try {
    const bytes = await ports.derived.readRoot()
    return bytes === null ? undefined : OverlayRoot.open(bytes)
  } catch {
    return undefined // not seen yet
  }
}
