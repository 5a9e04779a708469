/** nginx with `proxy_cache` in front of the Worker, as docs/caching.md has it, and with settings that people have besides. */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { NGINX_PROGRAM, nginxConfiguration } from '../matrix/nginx.ts'
import { documented } from '../matrix/tls-pages.ts'
import { freePort, pause, runWithoutInput, startTLSServer } from '../matrix/tls-programs.ts'

const ORIGIN = 'http://edge-ocsp.example.net'

/**
 * documented: the page's. revalidating: with `proxy_cache_revalidate on`. rewriting: with a URI behind proxy_pass, so that
 * nginx decodes the path and merges its slashes, and keeps copies by the path that it made of it.
 */
export const SETTINGS = ['documented', 'revalidating', 'rewriting'] as const
export type Setting = (typeof SETTINGS)[number]

export interface Got {
  /** Before the question was sent and when the answer was there, milliseconds since 1970. */
  readonly askedAt: number
  readonly receivedAt: number
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** Names and values in turn, none left out. */
  readonly rawHeaders: readonly string[]
  /** MISS, HIT, EXPIRED, REVALIDATED; undefined when the cache had no part in it. */
  readonly cache: string | undefined
  readonly body: Buffer
}

export interface Asking {
  readonly setting?: Setting
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: Uint8Array
}

export interface CachingProxy {
  /** @param target path as it goes over the wire */
  ask(target: string, asking?: Asking): Promise<Got>
  /** Whether the documented setting holds a copy of this path. */
  holds(target: string): boolean
  /** Drops the one copy of this path: its file is called by the MD5 of its key. @throws Error when none comes to be there */
  purge(target: string): Promise<void>
  /** Drops all copies, with the documented command. @returns how many */
  purgeAll(): Promise<number>
  stop(): Promise<void>
}

export async function startCachingProxy(origin: string): Promise<CachingProxy> {
  const folder = mkdtempSync(join(tmpdir(), 'edge-ocsp-nginx-'))
  const ports = new Map<Setting, number>()
  const store = (setting: Setting) => join(folder, `cache-${setting}`)
  let http = ''
  for (const setting of SETTINGS) {
    const port = await freePort()
    ports.set(setting, port)
    mkdirSync(store(setting))
    http += documented('Behind a proxy or CDN', 'nginx', {
      '/var/cache/nginx/ocsp': store(setting),
      'keys_zone=ocsp': `keys_zone=${setting}`,
      'proxy_cache ocsp;': `proxy_cache ${setting};${setting === 'revalidating' ? ' proxy_cache_revalidate on;' : ''}`,
      'listen 80;': `listen 127.0.0.1:${port};`,
      'proxy_cache_key $request_uri;': `proxy_cache_key ${setting === 'rewriting' ? '$uri' : '$request_uri'};`,
      [`${ORIGIN};`]: `${origin}${setting === 'rewriting' ? '/' : ''};`,
    })
  }
  const configuration = join(folder, 'nginx.conf')
  writeFileSync(configuration, nginxConfiguration(folder, http))
  const args = ['-p', folder, '-c', configuration, '-e', join(folder, 'error.log')]
  const nginx = await startTLSServer(NGINX_PROGRAM, args, ports.get('rewriting') ?? 0, folder)
  const agent = new Agent({ keepAlive: true })
  const files = () => readdirSync(store('documented')).map((name) => join(store('documented'), name))
  return {
    ask: (target, asking = {}) => ask(agent, ports.get(asking.setting ?? 'documented') ?? 0, target, asking),
    holds: (target) => files().some((file) => readFileSync(file, 'latin1').includes(`KEY: ${target}\n`)),
    async purge(target) {
      const file = join(store('documented'), createHash('md5').update(target).digest('hex'))
      // nginx puts it there after the client has its answer.
      for (let waits = 0; !existsSync(file) && waits < 100; waits += 1) await pause(20)
      if (!readFileSync(file, 'latin1').includes(`KEY: ${target}\n`))
        throw new Error(`${file} is not of ${target}`)
      rmSync(file)
    },
    async purgeAll() {
      const all = files().length
      const places = { '/var/cache/nginx/ocsp': store('documented') }
      await runWithoutInput('sh', ['-c', documented('Behind a proxy or CDN', 'sh purge', places)], folder)
      return all - files().length
    },
    async stop() {
      agent.destroy()
      await nginx.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function ask(agent: Agent, port: number, target: string, asking: Asking): Promise<Got> {
  const { method = 'GET', headers = {}, body } = asking
  const askedAt = Date.now()
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const sent = request(
      {
        agent,
        hostname: '127.0.0.1',
        port,
        method,
        path: target,
        headers: { host: 'ocsp.example.com', ...headers },
      },
      resolve,
    )
    sent.once('error', reject)
    sent.end(body)
  })
  const octets = await buffer(answer)
  const cache = answer.headers['x-cache-status']
  return {
    askedAt,
    receivedAt: Date.now(),
    status: answer.statusCode ?? 0,
    headers: answer.headers,
    rawHeaders: answer.rawHeaders,
    cache: typeof cache === 'string' && cache !== '' ? cache : undefined,
    body: octets,
  }
}
