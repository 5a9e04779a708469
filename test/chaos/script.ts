/**
 * What is done to the record and to what is derived from it, in every run the same: operators who repeat what was not
 * acknowledged, and a cron once a minute. All times are given, so that a repetition changes nothing.
 */
import { ConflictError, type NewCertificate, type StatusChange } from '../../src/ports/admin-store.ts'
import { presign } from '../../src/signing/presign.ts'
import { EPOCH } from '../support/clock.ts'
import type { World } from '../support/world.ts'
import type { CertificateHistory } from '../support/world-history.ts'
import type { Isolate } from '../support/world-isolate.ts'
import { anotherResponder } from '../support/world-responders.ts'
import type { WorldIssuer } from '../support/world-setup.ts'

/** Seconds from the beginning of one phase to that of the next: longer than whatever a fault can hold up. */
export const PHASE_SECONDS = 3_000
/** A slot doubles above this many certificates. */
export const MAX_SLOT_ENTRIES = 8

export interface Operation {
  readonly name: string
  /** By an operator: done when it is acknowledged, until then repeated. */
  run(isolate: Isolate, world: World): Promise<unknown>
}

export interface Phase {
  readonly name: string
  readonly operations: readonly Operation[]
}

/** The first issuer refuses what is not recorded, the second says `unknown`. */
type IssuerName = 'A' | 'B'

const LONG = EPOCH + 90 * 86_400

/** These end while the script runs, so that rows are pruned. */
const ENDING: Readonly<Record<number, number>> = { 3: 3 * PHASE_SECONDS + 600, 16: 4 * PHASE_SECONDS + 900 }

export const PHASES: readonly Phase[] = [
  {
    name: 'import',
    operations: [add('A', [1, 2, 3, 4, 5, 6]), sign(), add('B', [1, 2, 3], [revoked(4, 4)]), sign()],
  },
  {
    name: 'revoke',
    operations: [
      change('A', 1, { to: 'revoked', reason: 1, revocationTime: EPOCH - 500 }),
      change('A', 2, { to: 'hold', revocationTime: EPOCH - 400 }),
      sign(),
      change('B', 1, { to: 'revoked', reason: 3, revocationTime: EPOCH - 300 }),
      change('A', 1, { to: 'revoked', reason: 4, revocationTime: EPOCH - 500 }),
    ],
  },
  {
    name: 'grow',
    operations: [
      add('A', [7, 8, 9, 10, 11, 12, 13, 14]),
      change('A', 8, { to: 'revoked', reason: 5, revocationTime: EPOCH }),
      add('A', [15, 16, 17, 18, 19, 20]),
      change('A', 9, { to: 'hold', revocationTime: EPOCH }),
      sign(),
    ],
  },
  {
    name: 'release',
    operations: [
      change('A', 2, { to: 'released' }),
      change('A', 9, { to: 'revoked', reason: 1, revocationTime: EPOCH }),
      sign(),
      reserve('A', [21, 22]),
      add('A', [21, 22]),
      sign(),
    ],
  },
  { name: 'roll over', operations: [addResponder('A'), sign(), retireResponder('A')] },
  {
    name: 'expire',
    operations: [add('A', [23]), change('A', 23, { to: 'revoked', reason: 3, revocationTime: EPOCH })],
  },
  {
    name: 'compromise',
    operations: [compromise('B', EPOCH - 600), change('A', 10, { to: 'hold', revocationTime: EPOCH })],
  },
  // Until every slot was signed again: a bundle may hold a row for a while that is pruned already.
  { name: 'quiet', operations: [] },
]

export function issuerNamed(world: World, name: IssuerName): WorldIssuer {
  const issuer = world.issuers[name === 'A' ? 0 : 1]
  if (issuer === undefined) throw new RangeError(`no issuer ${name}`)
  return issuer
}

export function serialNumber(n: number): Uint8Array {
  return Uint8Array.of(0x21, (n * 73) & 0xff, (n * 151) & 0xff, n)
}

function certificate(n: number): NewCertificate {
  const ending = ENDING[n]
  const notAfter = ending === undefined ? LONG : EPOCH + ending
  return { serial: serialNumber(n), status: 'good', notBefore: EPOCH - 86_400, notAfter }
}

function revoked(n: number, reason: number): NewCertificate {
  return { ...certificate(n), status: 'revoked', reason, revocationTime: EPOCH - 900 }
}

function add(
  name: IssuerName,
  numbers: readonly number[],
  others: readonly NewCertificate[] = [],
): Operation {
  const rows = [...numbers.map(certificate), ...others]
  return {
    name: `record ${rows.length} of ${name}`,
    run: (isolate, world) => world.add(isolate, issuerNamed(world, name), rows),
  }
}

function reserve(name: IssuerName, numbers: readonly number[]): Operation {
  const rows = numbers.map((n) => ({ serial: serialNumber(n), status: 'reserved' as const }))
  return {
    name: `reserve ${rows.length} of ${name}`,
    run: (isolate, world) => world.add(isolate, issuerNamed(world, name), rows),
  }
}

function change(name: IssuerName, n: number, wanted: StatusChange): Operation {
  return {
    name: `${wanted.to} ${name}${n}`,
    async run(isolate, world) {
      const history = world.history(issuerNamed(world, name), serialNumber(n))
      const { outcome } = await world.change(isolate, history, wanted)
      if (outcome !== 'changed' && outcome !== 'unchanged')
        world.accuse(`${wanted.to} ${history.key}: ${JSON.stringify(outcome)}, which is lawful`, history)
      if (recordedStatus(world, history) !== wanted.to)
        world.accuse(`${wanted.to} ${history.key} was acknowledged and is not recorded (law 4)`, history)
    },
  }
}

function recordedStatus(world: World, { issuer, serial }: CertificateHistory): string | undefined {
  const key = Buffer.from(serial).toString('hex')
  return world.record
    .certificates()
    .find(({ issuer: id, row }) => id === issuer && Buffer.from(row.serial).toString('hex') === key)?.row
    .status
}

/** Everything that is new or due. */
export function sign(): Operation {
  return {
    name: 'presign',
    run: (isolate) => presign(isolate.presign, { all: true, budget: 1_000 }),
  }
}

function addResponder(name: IssuerName): Operation {
  const made = new WeakMap<World, ReturnType<typeof anotherResponder>>()
  return {
    name: `add a responder of ${name}`,
    async run(isolate, world) {
      const issuer = issuerNamed(world, name)
      const another =
        made.get(world) ?? anotherResponder(issuer, 'Ed25519', { notBefore: EPOCH - 86_400, notAfter: LONG })
      made.set(world, another)
      const { responder, wrapped } = await another
      await world.configure(isolate, issuer, async () => {
        try {
          await isolate.admin.addResponder(issuer.record.id, responder, wrapped, world.clock.nowMs())
        } catch (error) {
          if (!(error instanceof ConflictError)) throw error // else it was there already: repeated
        }
      })
    },
  }
}

function retireResponder(name: IssuerName): Operation {
  return {
    name: `retire the first responder of ${name}`,
    async run(isolate, world) {
      const issuer = issuerNamed(world, name)
      const [first] = issuer.record.responders
      if (first === undefined) throw new RangeError('an issuer without a responder')
      await world.configure(isolate, issuer, () =>
        isolate.admin.retireResponder(issuer.record.id, first.id, world.clock.nowMs()),
      )
    },
  }
}

function compromise(name: IssuerName, at: number): Operation {
  return {
    name: `compromise ${name}`,
    async run(isolate, world) {
      const issuer = issuerNamed(world, name)
      await world.configure(isolate, issuer, () =>
        isolate.admin.compromiseIssuer(issuer.record.id, at, world.clock.nowMs()),
      )
    },
  }
}
