/** The composition root: bindings and secrets in, one Worker out. With the other compose files the only one that builds its adapters. */
import type { Hono } from 'hono'
import { clock, composeOne } from './compose-shard.ts'
import { composeShards } from './compose-shards.ts'
import type { Env } from './env.ts'
import { databasesOf, readSettings } from './env.ts'
import type { AdminDeps } from './http/admin-deps.ts'
import { healthApp } from './http/health.ts'
import { consoleLog, observer } from './http/observe.ts'
import { serveOCSP } from './http/ocsp.ts'
import { pagesApp } from './http/pages.ts'
import type { QueueMessage } from './jobs/consumer.ts'
import { parseKeyEncryptionKey } from './signing/key-custody.ts'

export interface Worker {
  fetch(request: Request): Response | Promise<Response>
  scheduled(): Promise<void>
  queue(batch: { readonly queue: string; readonly messages: readonly QueueMessage[] }): Promise<void>
}

/** @param background keeps work alive after the answer has left (waitUntil) */
export function compose(env: Env, background: (work: Promise<unknown>) => void): Worker {
  const { settings, problems } = readSettings(env)
  const { databases, problems: bindingProblems } = databasesOf(env)
  for (const problem of [...problems, ...bindingProblems])
    consoleLog.event('warn', { what: 'setting', problem })
  const secret = (name: string) => secretOf(env, name)
  const kek = () => parseKeyEncryptionKey(env.KEY_ENCRYPTION_KEY)
  const resources = { of: databases.length, env, settings, kek, secret, background }
  const composed = databases.length === 1 ? composeOne(resources) : composeShards(databases, resources)
  const { responder, store } = composed
  const observe = observer(consoleLog, env.METRICS, settings.logSampleRate, Math.random)
  const administration: AdminDeps = {
    ...composed,
    clock,
    kek: orUndefined(kek),
    secret,
    adminToken: env.ADMIN_TOKEN,
    adminHost: env.ADMIN_HOST,
    boundSeconds: settings.boundSeconds,
    log: consoleLog,
  }
  const health = healthApp(administration)
  const pages = pagesApp({
    issuerCertificate: async (name) => (await store.findIssuer(name))?.certificate,
    clock,
  })
  let admin: Hono | undefined
  /** Loaded on first use: the X.509 module behind it is never evaluated for OCSP. */
  const administer = async (request: Request): Promise<Response> => {
    admin ??= (await import('./http/admin.ts')).adminApp(administration)
    return admin.fetch(request)
  }

  return {
    fetch(request) {
      switch (ownerOf(request)) {
        case 'ocsp':
          return serveOCSP(request, responder, observe)
        case 'health':
          return health.fetch(request)
        case 'pages':
          return pages.fetch(request)
        case 'admin':
          return administer(request)
      }
    },
    scheduled: () => composed.scheduled(),
    queue: ({ queue, messages }) => composed.queue(queue, messages),
  }
}

const HEALTH = new Set(['/healthz', '/readyz', '/metrics'])
const PAGES = new Set(['/', '', '/favicon.ico', '/robots.txt'])

/** Everything that is not one of a few fixed paths is an OCSP request, under any prefix (R5.13). */
function ownerOf(request: Request): 'ocsp' | 'admin' | 'health' | 'pages' {
  const { url, method } = request
  const path = url.slice(url.indexOf('/', 8)) // after "http://" or "https://" and the host
  if (path.startsWith('/admin/')) return 'admin'
  if (method !== 'GET' && method !== 'HEAD') return 'ocsp'
  if (path.startsWith('/issuers/') && path.endsWith('.cer')) return 'pages'
  const query = path.indexOf('?')
  const plain = query < 0 ? path : path.slice(0, query)
  return HEALTH.has(plain) ? 'health' : PAGES.has(plain) ? 'pages' : 'ocsp'
}

/** A Worker secret by a name that is known only at run time (custody `secret`). */
function secretOf(env: Env, name: string): string | undefined {
  const value: unknown = Object.entries(env).find(([key]) => key === name)?.[1]
  return typeof value === 'string' ? value : undefined
}

function orUndefined(read: () => Uint8Array): Uint8Array | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
