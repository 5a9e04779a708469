/** Which faults a run of the script meets, at which calls of a port. Written as one word, so that a run can be repeated. */
import { createHash } from 'node:crypto'
import type { PortName } from '../support/faults.ts'
import type { Role } from './process.ts'

/** The n-th call of its kind in a phase of the script, from 0: what went wrong before does not shift it much. */
export interface CallPlace {
  readonly phase: number
  /** As kindId names it. */
  readonly kind: string
  readonly nth: number
}

/** One call of a port, as it was made. */
export interface Call extends CallPlace {
  readonly role: Role
  readonly port: PortName
  /** Kind of value or statement. */
  readonly what: string
}

export interface PlannedFault extends CallPlace {
  readonly fault: Fault
}

/** A fault, and the call that met it. */
export type Met = PlannedFault & Call

export function placeOf({ phase, kind, nth }: CallPlace): string {
  return `${phase}.${kind}.${nth}`
}

/** In words. */
export function kindOf({ role, port, what }: Pick<Call, 'role' | 'port' | 'what'>): string {
  return `${role}: ${port} ${what}`
}

/** In few letters. */
export function kindId(call: Pick<Call, 'role' | 'port' | 'what'>): string {
  return createHash('sha256').update(kindOf(call)).digest('hex').slice(0, 6)
}

/** What may go wrong at one call. The first three end the process. */
export const FAULTS = {
  /** Before the driver did anything. */
  kb: 'killed before the call',
  /** The driver has done its part, and nobody was told. */
  ka: 'killed after the call',
  /** Half of a value is written, and then the process is gone. */
  tw: 'killed with half of the value written',
  cl: 'connection lost before the call',
  al: 'the answer was lost',
  /** The caller has given up when the driver does its part. */
  to: 'timed out, and took effect later',
  /** Half of a value is read. */
  tr: 'half of the value was read',
  ml: 'the message was lost',
  md: 'the message came twice',
} as const

export type Fault = keyof typeof FAULTS

const KILLS: readonly Fault[] = ['kb', 'ka', 'tw']

export function isKill(fault: Fault): boolean {
  return KILLS.includes(fault)
}

/** Whether such a call can meet that fault. */
export function fits(fault: Fault, port: PortName): boolean {
  switch (fault) {
    case 'tw':
      return port === 'kv.put'
    case 'tr':
      return port === 'kv.root' || port === 'kv.page' || port === 'kv.bundle' || port === 'cache.match'
    case 'to':
      return port !== 'signer'
    case 'ml':
    case 'md':
      return port === 'queue'
    case 'kb':
    case 'ka':
    case 'cl':
    case 'al':
      return true
  }
}

export interface Plan {
  /** Of every other choice: who asks what, what a zombie does. */
  readonly seed: number
  /** Whether re-signing goes over a queue. */
  readonly queued: boolean
  readonly faults: readonly PlannedFault[]
}

/** Such as `7q:2.0b3a9f.14kb,4.77aa10.0to`: the seed, q for over a queue, and what happens at which calls. */
export function formatPlan({ seed, queued, faults }: Plan): string {
  return `${seed}${queued ? 'q' : ''}:${faults.map((one) => `${placeOf(one)}${one.fault}`).join(',')}`
}

/** @throws RangeError */
export function parsePlan(text: string): Plan {
  const [, seed, queue, list] = /^(\d+)(q?):(.*)$/.exec(text) ?? []
  if (seed === undefined || list === undefined) throw new RangeError(`no plan: ${text}`)
  const faults = list === '' ? [] : list.split(',').map(parseFault)
  return { seed: Number(seed), queued: queue === 'q', faults }
}

function parseFault(text: string): PlannedFault {
  const [, phase, kind, nth, name] = /^(\d+)\.([0-9a-f]{6})\.(\d+)([a-z]{2})$/.exec(text) ?? []
  const fault = faultNames().find((known) => known === name)
  if (kind === undefined || fault === undefined) throw new RangeError(`no fault of a plan: ${text}`)
  return { phase: Number(phase), kind, nth: Number(nth), fault }
}

export function faultNames(): Fault[] {
  const names: Fault[] = []
  for (const name in FAULTS) if (isFault(name)) names.push(name)
  return names
}

function isFault(name: string): name is Fault {
  return Object.hasOwn(FAULTS, name)
}
