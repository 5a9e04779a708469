/** Reading a JSON body: bounded, strict, and quiet about what it held. */
import * as z from 'zod/mini'
import { MAX_BODY_BYTES } from '../admin-api/contract.ts'
import { AdminError } from './admin-error.ts'

function tooLarge(): AdminError {
  return new AdminError(413, 'bodyTooLarge', `the body is larger than ${MAX_BODY_BYTES} octets`, {
    hint: 'send fewer certificates a call',
  })
}

/** @throws AdminError bodyTooLarge, before more than the limit is held in memory */
async function readBounded(request: Request): Promise<Uint8Array> {
  if (Number(request.headers.get('Content-Length') ?? '0') > MAX_BODY_BYTES) throw tooLarge()
  const chunks: Uint8Array[] = []
  let length = 0
  const reader = request.body?.getReader()
  for (;;) {
    const part = await reader?.read()
    if (part === undefined || part.done) break
    const chunk: Uint8Array = part.value
    length += chunk.byteLength
    if (length > MAX_BODY_BYTES) {
      await reader?.cancel()
      throw tooLarge()
    }
    chunks.push(chunk)
  }
  const body = new Uint8Array(length)
  let offset = 0
  for (const chunk of chunks) {
    body.set(chunk, offset)
    offset += chunk.byteLength
  }
  return body
}

/** V8 says where for most faults; its message is not passed on, since it may quote the text, and that may be a key. */
function syntaxError(error: unknown): AdminError {
  const at = error instanceof Error ? /position (\d+)/.exec(error.message)?.[1] : undefined
  return new AdminError(
    400,
    'invalidJSON',
    `the body is not JSON${at === undefined ? '' : `: see octet ${at}`}`,
    {
      hint: 'send one JSON object in UTF-8',
    },
  )
}

/** `certificates[3].serial` */
export function fieldPath(path: readonly PropertyKey[]): string {
  let text = ''
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`
    else text += text === '' ? String(part) : `.${String(part)}`
  }
  return text
}

/** The first issue as the error; when there are several, each is a finding. */
export function invalidInput(error: z.core.$ZodError): AdminError {
  const findings = error.issues.map((issue) => {
    const unknown = issue.code === 'unrecognized_keys' ? issue.keys[0] : undefined
    const path =
      unknown === undefined
        ? issue.path
        : [...issue.path, unknown.length <= 40 ? unknown : '(a name of over 40 characters)']
    const message = unknown === undefined ? issue.message : 'this field is not known'
    return {
      code: unknown === undefined ? 'invalidField' : 'unknownField',
      field: fieldPath(path),
      message,
    } as const
  })
  const first = findings[0]
  if (first === undefined) return new AdminError(400, 'badRequest', 'the request is not valid')
  const place = first.field === '' ? 'the body' : first.field
  return new AdminError(400, first.code, `${place}: ${first.message}`, {
    ...(first.field !== '' && { field: first.field }),
    hint: 'GET /admin/v1/openapi.json describes every field',
    ...(findings.length > 1 && {
      findings: findings.map(({ code, field, message }) => ({
        level: 'error' as const,
        code,
        message: field === '' ? message : `${field}: ${message}`,
      })),
    }),
  })
}

/** @throws AdminError invalidJSON, invalidField, unknownField (400), bodyTooLarge (413). An empty body reads as {}. */
export async function readInput<S extends z.ZodMiniType>(request: Request, schema: S): Promise<z.output<S>> {
  const bytes = await readBounded(request)
  let value: unknown = {}
  if (bytes.length > 0) {
    try {
      value = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes))
    } catch (error) {
      throw syntaxError(error)
    }
  }
  return checkInput(value, schema)
}

/** @throws AdminError invalidField, unknownField */
export function checkInput<S extends z.ZodMiniType>(value: unknown, schema: S): z.output<S> {
  const result = z.safeParse(schema, value)
  if (!result.success) throw invalidInput(result.error)
  return result.data
}
