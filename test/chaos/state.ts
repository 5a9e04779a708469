/**
 * The state of a world in words that do not depend on when things happened: two runs of one script end in the same. Left out
 * are positions, signatures and their windows, which are new in every run; what must hold of them is said as true or false.
 */
import { Bundle } from '../../src/bundle/bundle-format.ts'
import { bundleKey } from '../../src/bundle/slot.ts'
import type { World } from '../support/world.ts'

/** A line for each thing, by its name. */
export type State = Readonly<Record<string, string>>

export async function stateOf(world: World): Promise<State> {
  return {
    ...certificates(world),
    ...issuers(world),
    ...slots(world),
    ...(await bundles(world)),
    ...overlay(world),
    ...audit(world),
  }
}

/** What differs, a line each. */
export function differences(expected: State, found: State): string[] {
  const names = new Set([...Object.keys(expected), ...Object.keys(found)])
  return [...names]
    .filter((name) => expected[name] !== found[name])
    .map((name) => `${name}: ${found[name] ?? 'missing'}, undisturbed ${expected[name] ?? 'missing'}`)
}

function certificates(world: World): State {
  const rows = world.record.rows(`
    SELECT issuer, lower(hex(serial)) AS serial, status, revoked_at, reason, not_before, not_after, reserved, is_ca
    FROM certificates ORDER BY issuer, serial`)
  return Object.fromEntries(
    rows.map(({ issuer, serial, ...rest }) => [
      `certificate ${String(issuer)}/${String(serial)}`,
      words(rest),
    ]),
  )
}

function issuers(world: World): State {
  const rows = world.record.rows(`
    SELECT id, name, enabled, frozen, policy, k, k_next, compromised_at, final_at, published = seq AS published,
      (SELECT group_concat(name || iif(retired, ' retired', ''), ', ') FROM responders WHERE issuer = issuers.id) AS responders
    FROM issuers ORDER BY id`)
  return Object.fromEntries(rows.map(({ id, ...rest }) => [`issuer ${String(id)}`, words(rest)]))
}

/** Built, and nothing owed. */
function slots(world: World): State {
  const rows = world.record.rows(
    `SELECT issuer, k, slot, entries, added, again, failures, lease_until <= ?1 AS free,
      built_seq > 0 AND built_seq >= changed_seq AS current, refresh_at > ?1 AS fresh
    FROM slots WHERE entries > 0 OR added > 0 OR changed_seq > 0 ORDER BY issuer, k, slot`,
    world.clock.seconds,
  )
  return Object.fromEntries(
    rows.map(({ issuer, k, slot, ...rest }) => [
      `slot ${[issuer, k, slot].map(String).join('/')}`,
      words(rest),
    ]),
  )
}

/** What stands in KV for each slot that answers: whole, in time, usable under what the overlay demands. */
async function bundles(world: World): Promise<State> {
  const found: Record<string, string> = {}
  const rows = world.record.rows(`
    SELECT s.issuer, s.k, s.slot, s.built_seq FROM slots s JOIN issuers i ON i.id = s.issuer AND i.k = s.k
    WHERE s.built_seq > 0 ORDER BY s.issuer, s.k, s.slot`)
  for (const row of rows) {
    const [issuer, k, slot, built] = [row['issuer'], row['k'], row['slot'], row['built_seq']].map(Number)
    if (issuer === undefined || k === undefined || slot === undefined) continue
    const key = bundleKey(issuer, k, slot)
    const bytes = world.kv.last(key)
    found[key] = bytes === undefined ? 'none' : await describe(bytes, world.clock.seconds, built ?? 0)
  }
  return found
}

async function describe(bytes: Uint8Array, now: number, built: number): Promise<string> {
  try {
    const bundle = Bundle.open(bytes)
    if (!(await bundle.verifyDigest())) return 'torn'
    const entries = [...bundle.entries()].map(({ serial, certStatus, window, signatures }) => {
      const { thisUpdate = 0, nextUpdate = 0 } = bundle.windows[window] ?? {}
      const inTime = thisUpdate <= now && now < nextUpdate
      const whole = signatures.every((signature) => signature !== undefined)
      return [Buffer.from(serial).toString('hex'), JSON.stringify(certStatus), inTime, whole].join(' ')
    })
    const variants = bundle.variants.map(({ hashAlgorithm }) => hashAlgorithm).join(' ')
    return [`${variants}, as recorded: ${bundle.asOf === built}`, ...entries.sort()].join('; ')
  } catch (error) {
    return error instanceof Error ? error.message : 'unreadable'
  }
}

/** Whom it has to name; from when on depends on when things happened, and so does when it forgets them. */
function overlay(world: World): State {
  const rows = world.record.rows(
    'SELECT issuer, lower(hex(serial)) AS serial FROM changes WHERE keep_until > ?1 ORDER BY 1, 2',
    world.clock.seconds,
  )
  return { overlay: rows.map(({ issuer, serial }) => `${String(issuer)}/${String(serial)}`).join(' ') }
}

/**
 * Each change of a certificate once, whatever was repeated; rows that are pruned in several goes are as many. A responder that
 * is retired again leaves another row.
 */
function audit(world: World): State {
  const rows = world.record.rows(`
    SELECT action, issuer, lower(hex(serial)) AS serial, iif(action = 'certificates.pruned', '', detail) AS detail,
      CASE action WHEN 'certificates.pruned' THEN sum(detail->>'count') WHEN 'responder.retired' THEN 1 ELSE count(*) END AS times
    FROM audit GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4`)
  return Object.fromEntries(
    rows.map(({ times, ...rest }) => [`audit ${Object.values(rest).map(String).join(' ')}`, String(times)]),
  )
}

function words(row: Readonly<Record<string, unknown>>): string {
  return Object.entries(row)
    .map(([name, value]) => `${name} ${String(value)}`)
    .join(', ')
}
