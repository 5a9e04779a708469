/** Java's PKIX revocation checker, hard fail. Method and nonce are decided when its classes are loaded: a machine for each. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { agreed, type MatrixClient, printedVersion, type Run, TELLS_ALL } from './client.ts'
import { LineProgram } from './line-program.ts'

/**
 * System properties of Oracle's "Java PKI Programmer's Guide". useGet: false is POST for all, else GET up to 255 octets (the
 * default). nonce: true sends 16 octets and compares what comes back; default false.
 */
export interface JavaSettings {
  readonly useGet?: boolean
  readonly nonce?: boolean
  /** Arguments of Ask: see there. */
  readonly modes?: readonly ('soft-fail' | 'responder')[]
}

const WAYS: readonly JavaSettings[] = [
  { useGet: true },
  { useGet: true, nonce: true },
  { useGet: false },
  { useGet: false, nonce: true },
]
let machines: readonly { readonly way: string; readonly program: LineProgram }[] = []

export const JAVA: MatrixClient = {
  title: 'Java PKIX',
  programs: ['java', 'javac'],
  version: () => `Java ${printedVersion('java', ['-version'], /version "([^"]+)"/)}`,
  async prepare(folder) {
    compileAsk(folder)
    machines = WAYS.map((way) => ({
      way: `${way.useGet === true ? 'GET' : 'POST'}${way.nonce === true ? ' nonce' : ''}`,
      program: startAsk(folder, way),
    }))
  },
  async ask(question) {
    if (machines.length === 0) throw new Error('not started')
    const runs = machines.map(async ({ way, program }): Promise<Run> => {
      const { verdict, output } = await program.ask(question)
      return { way, verdict, output }
    })
    return agreed(await Promise.all(runs))
  },
  async stop() {
    await Promise.all(machines.map(({ program }) => program.stop()))
  },
  expected: TELLS_ALL,
  says: {
    revoked: /reason KEY_COMPROMISE/,
    hold: /reason CERTIFICATE_HOLD/,
    'never (unauthorized)': /UNAUTHORIZED/,
  },
  forged: { verdict: 'refused', says: /signature/i },
}

/** java/Ask.java, into the folder. */
export function compileAsk(folder: string): void {
  const source = join(import.meta.dirname, 'java/Ask.java')
  const { status, stderr } = spawnSync('javac', ['-d', folder, source], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`javac: ${stderr}`)
}

/** A machine with Ask of the folder in it. */
export function startAsk(folder: string, { useGet, nonce, modes = [] }: JavaSettings): LineProgram {
  const properties = [
    ...(useGet === undefined ? [] : [`-Dcom.sun.security.ocsp.useget=${useGet}`]),
    ...(nonce === undefined ? [] : [`-Djdk.security.certpath.ocspNonce=${nonce}`]),
  ]
  return new LineProgram('java', [...properties, '-cp', folder, 'Ask', ...modes])
}
