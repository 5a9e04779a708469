/** Revoking many at once: by query, a bounded part a call, gone on with by the next one; and by a list of serials. */
import type { Hono } from 'hono'
import type * as z from 'zod/mini'
import {
  ADMIN_ROUTES,
  formatTime,
  type Publication,
  REASON_NAMES,
  type ReasonName,
} from '../admin-api/contract.ts'
import * as mass from '../admin-api/mass.ts'
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import { crlReasonNumber } from '../pkix/crl-reason.ts'
import { formatSerial } from '../pkix/serial-number.ts'
import type {
  ListedChange,
  ListedOutcome,
  MassRefusal,
  MassRequest,
  MassRun,
  SlotNumber,
} from '../ports/mass-store.ts'
import type { IssuerRecord, Sequence } from '../ports/records.ts'
import { checkInput, readInput } from './admin-body.ts'
import type { AdminDeps } from './admin-deps.ts'
import { AdminError } from './admin-error.ts'
import { reasonRefusal } from './admin-policy.ts'
import { mount, pastTime, publishNow, readSerial, requireIssuer } from './admin-routes.ts'

const HOLD = 6
const DEFAULT_LIMIT = 10_000
/** Transactions of one call, those that find nothing included. */
const MAX_STEPS = 40
const LISTED_RUNS = 20
/** The rate is measured over so many. */
const RATED_RUNS = 5

export function mountMass(app: Hono, deps: AdminDeps): void {
  const { store, clock } = deps

  mount(app, deps, 'massRevoke', async ({ request, param, now, nowMs }) => {
    const input = await readInput(request, ADMIN_ROUTES.massRevoke.request)
    const issuer = await openIssuer(deps, param('issuer'))
    const asked = readRequest(input, issuer, now)
    const limit = input.limit ?? DEFAULT_LIMIT
    const refused: MassRefusal[] = []
    let run = await store.startMass(issuer.id, asked, nowMs)
    let changed = 0
    let revision: Sequence = 0
    const begunMs = clock.nowMs()
    // Other calls have their turn between two transactions.
    try {
      for (let step = 0; step < MAX_STEPS && changed < limit && run.cursor < mass.MASS_END; step += 1) {
        const done = await store.stepMass(run, asked, clock.nowMs())
        run = { ...run, cursor: done.cursor }
        changed += done.changed
        refused.push(...done.refused)
        revision = Math.max(revision, done.revision)
      }
    } catch (error) {
      // What was done before took its time, too.
      await store.noteMass(run.id, clock.nowMs() - begunMs).catch(() => undefined)
      throw error
    }
    run = await store.noteMass(run.id, clock.nowMs() - begunMs)
    const publication = await publishChanged(deps, issuer, revision, input.publish)
    return {
      run: runView(run, issuer),
      changed,
      refused,
      revision,
      needsPublish: changed > 0 && publication.publishedAt === null,
      ...publication,
    }
  })

  mount(app, deps, 'planMassRevoke', async ({ request, param, now, nowMs }) => {
    const input = await readInput(request, ADMIN_ROUTES.planMassRevoke.request)
    const issuer = await openIssuer(deps, param('issuer'))
    const asked = readRequest(input, issuer, now)
    const tally = await store.tallyMass(issuer.id, asked, input.cursor ?? 0, nowMs)
    const { toChange, held, reserved, already, leftReserved, undated } = tally
    return {
      toChange,
      held,
      reserved,
      refused: [...tally.refused],
      already,
      leftReserved,
      undated,
      slots: slotsView(tally.slots),
      cursor: tally.cursor === mass.MASS_END ? null : tally.cursor,
    }
  })

  mount(app, deps, 'listMassRevocations', async ({ param }) => {
    const issuer = await requireIssuer(deps, param('issuer'))
    const runs = await store.listMass(issuer.id, LISTED_RUNS)
    const rated = runs.filter(({ changed, busyMs }) => changed > 0 && busyMs > 0).slice(0, RATED_RUNS)
    const busyMs = rated.reduce((sum, run) => sum + run.busyMs, 0)
    const changed = rated.reduce((sum, run) => sum + run.changed, 0)
    return {
      runs: runs.map((run) => runView(run, issuer)),
      revocationsPerSecond: busyMs === 0 ? null : Math.round((changed * 1000) / busyMs),
    }
  })

  mount(app, deps, 'revokeSerials', async ({ request, param, now, nowMs }) => {
    const input = await readInput(request, ADMIN_ROUTES.revokeSerials.request)
    const issuer = await openIssuer(deps, param('issuer'))
    const defaults = { reason: input.reason, at: pastTime(input.at, now, 'at') }
    checkReason(input.reason, issuer)
    const { rows, places, problems } = readListed(input.certificates, defaults, issuer, now)
    const options = { add: input.add === true, dryRun: input.dryRun === true }
    const { outcomes, slots } =
      rows.length === 0
        ? { outcomes: [], slots: [] }
        : await store.changeListed(issuer.id, rows, options, nowMs)
    if (options.add && !options.dryRun) deps.certificatesRecorded?.()
    for (const [i, outcome] of outcomes.entries()) {
      const message = problemOf(outcome)
      if (message === undefined) continue
      const serial = formatSerial(rows[i]?.serial ?? new Uint8Array())
      const kind = outcome === 'notFound' ? ('notFound' as const) : ('refused' as const)
      problems.push({ index: places[i] ?? 0, serial, outcome: kind, message })
    }
    const last = rows[outcomes.findLastIndex((outcome) => outcome === 'changed' || outcome === 'added')]
    const publication =
      last === undefined || options.dryRun
        ? nothingPublished(deps)
        : await publishChanged(deps, issuer, await revisionOf(deps, issuer, last), input.publish)
    const count = (wanted: ListedOutcome) => outcomes.filter((outcome) => outcome === wanted).length
    return {
      added: count('added'),
      changed: count('changed'),
      unchanged: count('unchanged'),
      notFound: count('notFound'),
      refused: problems.filter(({ outcome }) => outcome === 'refused').length,
      problems: problems.toSorted((a, b) => a.index - b.index),
      slots: slotsView(slots),
      needsPublish: last !== undefined && !options.dryRun && publication.publishedAt === null,
      ...publication,
    }
  })
}

/** An issuer whose record does not stand still. @throws AdminError notFound, changeRefused */
async function openIssuer(deps: AdminDeps, named: string): Promise<IssuerRecord> {
  const issuer = await requireIssuer(deps, named)
  if (issuer.finalAt === undefined) return issuer
  throw new AdminError(
    409,
    'changeRefused',
    'the responses of this issuer are final: its record stands still',
    {
      field: 'issuer',
      hint: 'that cannot be taken back: its last responses are out, and stay valid',
    },
  )
}

/** @throws AdminError changeRefused */
function checkReason(reason: ReasonName | undefined, issuer: IssuerRecord): number | undefined {
  const number = reason === undefined ? undefined : crlReasonNumber(reason)
  const forbidden = reasonRefusal(number, issuer.policy.profile)
  if (forbidden === undefined) return number
  throw new AdminError(422, 'changeRefused', `reason: ${forbidden}`, {
    field: 'reason',
    hint: 'choose another reason, or none',
  })
}

/** @throws AdminError changeRefused, invalidField */
function readRequest(
  input: Pick<z.output<typeof mass.MassRevocationInput>, 'where' | 'reason' | 'at'>,
  issuer: IssuerRecord,
  now: UnixSeconds,
): MassRequest {
  const { where, at } = input
  pastTime(at, now, 'at')
  const serial = (field: 'serialFrom' | 'serialTo') =>
    where[field] === undefined ? undefined : readSerial(where[field], `where.${field}`)
  return {
    where: {
      issuedAfter: where.issuedAfter,
      issuedBefore: where.issuedBefore,
      expiresAfter: where.expiresAfter,
      expiresBefore: where.expiresBefore,
      serialFrom: serial('serialFrom'),
      serialTo: serial('serialTo'),
      serialPrefix: where.serialPrefix?.toUpperCase(),
      reserved: where.reserved === true,
    },
    ...changeOf(checkReason(input.reason, issuer)),
    revocationTime: at,
  }
}

function changeOf(reason: number | undefined): Pick<MassRequest, 'to' | 'reason'> {
  return reason === HOLD ? { to: 'hold', reason: undefined } : { to: 'revoked', reason }
}

interface Listed {
  readonly rows: ListedChange[]
  /** Where each row stood. */
  readonly places: number[]
  readonly problems: z.infer<typeof mass.ListedProblem>[]
}

/** Each row by itself: a bad one is refused alone. */
function readListed(
  values: readonly unknown[],
  defaults: { readonly reason: ReasonName | undefined; readonly at: UnixSeconds | undefined },
  issuer: IssuerRecord,
  now: UnixSeconds,
): Listed {
  const listed: Listed = { rows: [], places: [], problems: [] }
  for (const [index, value] of values.entries()) {
    try {
      const input = checkInput(value, mass.ListedRevocation)
      const { to, reason } = changeOf(checkReason(input.reason ?? defaults.reason, issuer))
      const revocationTime = pastTime(input.at, now, 'at') ?? defaults.at
      listed.rows.push({
        serial: readSerial(input.serial, 'serial'),
        status: to,
        ...(revocationTime !== undefined && { revocationTime }),
        ...(reason !== undefined && { reason }),
      })
      listed.places.push(index)
    } catch (error) {
      if (!(error instanceof AdminError)) throw error
      listed.problems.push({ index, serial: '', outcome: 'refused', message: error.message })
    }
  }
  return listed
}

function problemOf(outcome: ListedOutcome): string | undefined {
  if (typeof outcome === 'object') return outcome.refused
  return outcome === 'notFound' ? 'is not recorded' : undefined
}

async function revisionOf(deps: AdminDeps, issuer: IssuerRecord, row: ListedChange): Promise<Sequence> {
  return (await deps.store.readCertificate(issuer.id, row.serial))?.rev ?? 0
}

function nothingPublished({ boundSeconds }: AdminDeps): Publication {
  return { publishedAt: null, rootVersion: null, boundSeconds }
}

async function publishChanged(
  deps: AdminDeps,
  issuer: IssuerRecord,
  revision: Sequence,
  publish: boolean | undefined,
): Promise<Publication> {
  return revision === 0 || publish === false
    ? nothingPublished(deps)
    : publishNow(deps, { issuer: issuer.id, revision })
}

function slotsView(slots: readonly SlotNumber[]): { k: number; slots: number[] }[] {
  const eras = new Map<number, number[]>()
  for (const { k, slot } of slots) eras.set(k, [...(eras.get(k) ?? []), slot])
  return [...eras].map(([k, some]) => ({ k, slots: some }))
}

const TIMES = new Set(['issuedAfter', 'issuedBefore', 'expiresAfter', 'expiresBefore'])

function runView(run: MassRun, issuer: IssuerRecord): mass.MassRun {
  const { goal, reason, time: _, reserved, ...conditions } = run.request
  const given = Object.entries(conditions)
    .filter(([, value]) => value !== null)
    .map(([name, value]): [string, unknown] => [
      name,
      TIMES.has(name) ? formatTime(Number(value)) : String(value).toLowerCase(),
    ])
  const number = goal === 2 ? HOLD : reason
  const name = REASON_NAMES.find((known) => known !== 'unspecified' && crlReasonNumber(known) === number)
  return {
    id: run.id,
    issuer: issuer.name,
    where: {
      ...(given.length === 0 ? { all: true } : Object.fromEntries(given)),
      ...(reserved === 1 && { reserved: true }),
    },
    status: goal === 2 ? 'hold' : 'revoked',
    ...(name !== undefined && { reason: name }),
    revocationTime: formatTime(run.revocationTime),
    startedAt: formatTime(Math.floor(run.startedMs / 1000)),
    updatedAt: formatTime(Math.floor(run.updatedMs / 1000)),
    done: run.cursor === mass.MASS_END,
    share: run.cursor / mass.MASS_END,
    changed: run.changed,
    refused: run.refused,
  }
}
