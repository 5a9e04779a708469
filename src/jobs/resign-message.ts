/** What goes over the queue: names of slots, and the lease that keeps their place. Nothing in it is believed without D1. */
import type { SlotName } from '../ports/fan-out-store.ts'

/** Of what a consumer of this version understands. */
export const MESSAGE_VERSION = 1
/** Bounds the subrequests of one message: about ten a slot. */
export const MAX_MESSAGE_SLOTS = 100

export interface ResignMessage {
  /** Under which all slots of it were planned. */
  readonly lease: string
  /** Where they were planned; 0 is that of a deployment with one. */
  readonly database: number
  readonly slots: readonly SlotName[]
}

/** JSON of at most some 3 KB. */
export function encodeMessage({ lease, database, slots }: ResignMessage): Readonly<Record<string, unknown>> {
  return {
    version: MESSAGE_VERSION,
    lease,
    database,
    slots: slots.map(({ issuer, k, slot }) => [issuer, k, slot]),
  }
}

/** @returns undefined for anything that is no message of this version */
export function decodeMessage(body: unknown): ResignMessage | undefined {
  if (typeof body !== 'object' || body === null || !('version' in body) || body.version !== MESSAGE_VERSION)
    return undefined
  if (!('lease' in body) || typeof body.lease !== 'string' || !('slots' in body)) return undefined
  if (!Array.isArray(body.slots) || body.slots.length > MAX_MESSAGE_SLOTS) return undefined
  const slots = body.slots.flatMap((name: unknown): SlotName[] => {
    const [issuer, k, slot, ...rest]: unknown[] = Array.isArray(name) ? name : []
    return isCount(issuer) && isCount(k) && isCount(slot) && rest.length === 0 ? [{ issuer, k, slot }] : []
  })
  const database = databaseOf(body)
  return slots.length === body.slots.length ? { lease: body.lease, database, slots } : undefined
}

/** The database of a message, or of anything that may be one. */
export function databaseOf(body: unknown): number {
  return typeof body === 'object' && body !== null && 'database' in body && isCount(body.database)
    ? body.database
    : 0
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && typeof value === 'number' && value >= 0
}
