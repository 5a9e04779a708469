/**
 * Workers in `workerd serve`, from a text of its own and without Miniflare: between the load and the Worker is workerd alone. They
 * say what the runtime needs for an exchange, whatever the Worker does.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PACKAGE_ROOT, type WorkerBundle } from '../../src/cli/dev/worker-bundle.ts'
import { freePort, type Program, printed, run } from './programs.ts'

const WORKERD = join(PACKAGE_ROOT, 'node_modules/workerd/bin/workerd')

export interface PlainOptions {
  /** An empty folder of its own. */
  readonly folder: string
  readonly core: number | undefined
  readonly bundle: WorkerBundle
}

export async function startPlain({ folder, core, bundle }: PlainOptions): Promise<Program> {
  const port = await freePort()
  writeFileSync(join(folder, 'index.js'), bundle.code)
  const flags = bundle.compatibilityFlags.map((flag) => JSON.stringify(flag)).join(', ')
  const configuration = join(folder, 'workerd.capnp')
  writeFileSync(
    configuration,
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [ (name = "main", worker = .main) ],
  sockets = [ (name = "http", address = "127.0.0.1:${port}", http = (), service = "main") ],
);
const main :Workerd.Worker = (
  modules = [ (name = "index.js", esModule = embed "index.js") ],
  compatibilityDate = "${bundle.compatibilityDate}",
  compatibilityFlags = [${flags}],
);
`,
  )
  return await run(WORKERD, ['serve', configuration], { port, core, folder }, printed(WORKERD, ['--version']))
}

/** The least that answers a POST: reads the body, sends the octets, no header. */
export function leastWorker(answer: Uint8Array): string {
  return `const BODY = new Uint8Array(${JSON.stringify([...answer])})
export default {
  async fetch(request) {
    if (request.method === 'POST') await request.arrayBuffer()
    return new Response(BODY)
  },
}
`
}

/** The same with one signature for each answer, made and thrown away. */
export function leastSigningWorker(answer: Uint8Array): string {
  return `const BODY = new Uint8Array(${JSON.stringify([...answer])})
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
let keys
export default {
  async fetch(request) {
    keys ??= await crypto.subtle.generateKey(ALGORITHM, false, ['sign', 'verify'])
    if (request.method === 'POST') await request.arrayBuffer()
    await crypto.subtle.sign(ALGORITHM, keys.privateKey, BODY)
    return new Response(BODY)
  },
}
`
}
