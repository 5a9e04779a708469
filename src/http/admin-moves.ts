/** Moving certificates of an issuer between databases: a bounded part a call, gone on with by the next one. */
import type { Hono } from 'hono'
import type * as z from 'zod/mini'
import { ADMIN_ROUTES, formatTime } from '../admin-api/contract.ts'
import type * as api from '../admin-api/moves.ts'
import type { Move } from '../ports/move-store.ts'
import {
  DIGITS,
  dealt,
  formatDigits,
  MoveRefused,
  type MoveService,
  type MoveState,
  parseDigits,
} from '../ports/moves.ts'
import { readInput } from './admin-body.ts'
import type { AdminDeps } from './admin-deps.ts'
import { AdminError } from './admin-error.ts'
import { mount, requireIssuer } from './admin-routes.ts'

/** Of one call: a proxy waits for an answer, and others have their turn. */
const BUDGET_MS = 4_000
const LISTED = 20

export function mountMoves(app: Hono, deps: AdminDeps): void {
  const named = async (name: string) => {
    const { moves } = deps
    if (moves === undefined) {
      throw new AdminError(409, 'changeRefused', 'there is one database: nothing can be moved', {
        hint: 'add a second one to wrangler.toml (DB_1), apply the migrations to it and deploy: docs/operations.md',
      })
    }
    const { id, name: issuer } = await requireIssuer(deps, name)
    return { id, issuer, moves }
  }

  mount(app, deps, 'moveIssuer', async ({ request, param }) => {
    const input = await readInput(request, ADMIN_ROUTES.moveIssuer.request)
    const { id, issuer, moves } = await named(param('issuer'))
    return refusing(async () => {
      const wanted = await wantedOf(moves, id, input)
      const state = await moves.advance(id, wanted, { budgetMs: BUDGET_MS, built: input.built !== false })
      return { issuer, placement: await placementOf(moves, id), ...stateView(state) }
    })
  })

  mount(app, deps, 'planMove', async ({ request, param }) => {
    const input = await readInput(request, ADMIN_ROUTES.planMove.request)
    const { id, issuer, moves } = await named(param('issuer'))
    return refusing(async () => {
      const planned = await moves.plan(id, await wantedOf(moves, id, input))
      return {
        issuer,
        placement: await placementOf(moves, id),
        moves: planned.map((one) => ({ ...one, digits: formatDigits(one.digits) })),
        rowsPerSecond: rateOf(await moves.list(id, LISTED)),
        waitSeconds: 3 * (deps.boundSeconds + 60),
      }
    })
  })

  mount(app, deps, 'listMoves', async ({ param }) => {
    const { id, issuer, moves } = await named(param('issuer'))
    const list = await moves.list(id, LISTED)
    return refusing(async () => ({
      issuer,
      placement: await placementOf(moves, id),
      moves: list.map((move) => moveView(move, 1)),
      rowsPerSecond: rateOf(list),
    }))
  })

  mount(app, deps, 'abortMove', async ({ param }) => {
    const { id, issuer, moves } = await named(param('issuer'))
    return refusing(async () => {
      const state = await moves.abort(id, { budgetMs: BUDGET_MS })
      return { issuer, placement: await placementOf(moves, id), ...stateView(state) }
    })
  })
}

/** @throws AdminError changeRefused */
async function refusing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof MoveRefused)) throw error
    throw new AdminError(409, 'changeRefused', error.message, {
      hint: 'GET .../moves shows what is under way',
    })
  }
}

/** A database for each digit. @throws AdminError changeRefused */
async function wantedOf(
  moves: MoveService,
  issuer: number,
  { digits, to, databases }: z.output<typeof api.MovePlanInput>,
): Promise<readonly number[]> {
  const unknown = [to, ...(databases ?? [])].find(
    (database) => database !== undefined && !moves.databases.includes(database),
  )
  if (unknown !== undefined || new Set(databases).size < (databases?.length ?? 0)) {
    throw new AdminError(422, 'changeRefused', `there are the databases ${moves.databases.join(', ')}`, {
      field: databases === undefined ? 'to' : 'databases',
      hint: 'name some of these, each once',
    })
  }
  if (databases !== undefined) return dealt(databases)
  const mask = parseDigits(digits ?? '')
  if (mask === undefined || to === undefined) {
    throw new AdminError(422, 'changeRefused', `digits: "${digits}" names none`, {
      field: 'digits',
      hint: 'ranges go upwards, such as 8-f',
    })
  }
  const places = await moves.places(issuer)
  return DIGITS.map((digit) => ((mask >> digit) & 1 ? to : (places[digit] ?? 0)))
}

async function placementOf(moves: MoveService, issuer: number): Promise<api.MoveState['placement']> {
  const masks = new Map<number, number>()
  for (const [digit, database] of (await moves.places(issuer)).entries())
    masks.set(database, (masks.get(database) ?? 0) | (1 << digit))
  return [...masks].map(([database, mask]) => ({ database, digits: formatDigits(mask) }))
}

function stateView({ done, move, wait }: MoveState): Pick<api.MoveState, 'done' | 'move' | 'waits'> {
  return {
    done,
    move: move === undefined ? null : moveView(move, move.share),
    waits:
      wait === undefined
        ? null
        : {
            for: wait.for,
            ...(wait.for === 'bound' && { until: formatTime(Math.ceil(wait.until / 1000)) }),
            ...(wait.for === 'bundles' && { slots: wait.slots }),
          },
  }
}

function moveView(move: Move & { readonly from: number }, share: number): api.MoveView {
  const { digits, from, peer, phase, copied, verified, repaired, purged, startedMs, endedMs, problem } = move
  return {
    digits: formatDigits(digits),
    ...{ from, to: peer, phase, share, copied, verified, repaired, purged },
    startedAt: formatTime(Math.floor(startedMs / 1000)),
    endedAt: endedMs === 0 ? null : formatTime(Math.floor(endedMs / 1000)),
    problem: problem ?? null,
  }
}

/** All that a row takes, comparison and deletion included. */
function rateOf(moves: readonly Move[]): number | null {
  const rated = moves.filter(({ copied, busyMs, phase }) => phase === 'done' && copied > 0 && busyMs > 0)
  const busyMs = rated.reduce((sum, move) => sum + move.busyMs, 0)
  return busyMs === 0
    ? null
    : Math.round((rated.reduce((sum, { copied }) => sum + copied, 0) * 1000) / busyMs)
}
