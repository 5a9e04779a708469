/**
 * JSON Schema (draft 2020-12) of the kinds of zod schema that the contract is made of. zod's own generator knows every kind and
 * every dialect, and is 7 KB gzip of the Worker for a document that few ask for; the tests hold this one against it.
 */
import * as z from 'zod/mini'
// By name: `z.core` as a value would keep all of zod in the Worker, every language included.
import {
  $ZodCheckGreaterThan,
  $ZodCheckLessThan,
  $ZodCheckMaxLength,
  $ZodCheckMinLength,
  $ZodCheckNumberFormat,
  $ZodCheckRegex,
} from 'zod/v4/core'

export type JSONSchema = Record<string, unknown>

/**
 * @param io fields that can be given, for a request; that come, for an answer
 * @throws TypeError for a kind that the contract did not have until now
 */
export function jsonSchemaOf(schema: z.core.$ZodType, io: 'input' | 'output'): JSONSchema {
  return { ...convert(schema, io), ...z.globalRegistry.get(schema) }
}

function convert(schema: z.core.$ZodType, io: 'input' | 'output'): JSONSchema {
  const of = (inner: z.core.$ZodType) => jsonSchemaOf(inner, io)
  const { minimum, maximum, pattern, isInteger } = limitsOf(schema)
  if (schema instanceof z.ZodMiniObject) return objectSchema(schema, io)
  if (schema instanceof z.ZodMiniOptional) return of(schema.def.innerType)
  if (schema instanceof z.ZodMiniNullable) return anyOf([of(schema.def.innerType), { type: 'null' }])
  if (schema instanceof z.ZodMiniUnion) return anyOf(schema.def.options.map(of))
  if (schema instanceof z.ZodMiniPipe) return of(io === 'input' ? schema.def.in : schema.def.out)
  if (schema instanceof z.ZodMiniTransform || schema instanceof z.ZodMiniUnknown) return {}
  if (schema instanceof z.ZodMiniBoolean) return { type: 'boolean' }
  if (schema instanceof z.ZodMiniEnum) return { type: 'string', enum: Object.values(schema.def.entries) }
  if (schema instanceof z.ZodMiniLiteral) {
    const [value] = schema.def.values
    return { type: typeof value, const: value }
  }
  if (schema instanceof z.ZodMiniArray) {
    return {
      type: 'array',
      items: of(schema.def.element),
      ...given({ minItems: minimum, maxItems: maximum }),
    }
  }
  if (schema instanceof z.ZodMiniRecord) {
    const { keyType, valueType } = schema.def
    return { type: 'object', propertyNames: of(keyType), additionalProperties: of(valueType) }
  }
  if (schema instanceof z.ZodMiniString)
    return { type: 'string', ...given({ minLength: minimum, maxLength: maximum, pattern }) }
  if (schema instanceof z.ZodMiniNumber)
    return { type: isInteger ? 'integer' : 'number', ...given({ minimum, maximum }) }
  throw new TypeError(`no JSON Schema is made of ${schema._zod.def.type}`)
}

interface Limits {
  minimum?: unknown
  maximum?: unknown
  pattern?: string
  isInteger?: boolean
}

/** Each kind of limit stands once at most; an integer has those of JavaScript but for its own. */
function limitsOf(schema: z.core.$ZodType): Limits {
  const limits: Limits = {}
  for (const check of [schema, ...(schema._zod.def.checks ?? [])]) {
    if (check instanceof $ZodCheckNumberFormat) {
      limits.isInteger = true
      limits.minimum ??= Number.MIN_SAFE_INTEGER
      limits.maximum ??= Number.MAX_SAFE_INTEGER
    } else if (check instanceof $ZodCheckGreaterThan) limits.minimum = check._zod.def.value
    else if (check instanceof $ZodCheckLessThan) limits.maximum = check._zod.def.value
    else if (check instanceof $ZodCheckMinLength) limits.minimum = check._zod.def.minimum
    else if (check instanceof $ZodCheckMaxLength) limits.maximum = check._zod.def.maximum
    else if (check instanceof $ZodCheckRegex) limits.pattern = check._zod.def.pattern.source
  }
  return limits
}

function objectSchema({ def }: z.ZodMiniObject, io: 'input' | 'output'): JSONSchema {
  const fields = Object.entries(def.shape)
  const isRequired = ({ _zod }: z.core.$ZodType) => (io === 'input' ? _zod.optin : _zod.optout) === undefined
  const required = fields.filter(([, field]) => isRequired(field)).map(([name]) => name)
  return {
    type: 'object',
    properties: Object.fromEntries(fields.map(([name, field]) => [name, jsonSchemaOf(field, io)])),
    ...(required.length > 0 && { required }),
    // What we answer has these fields and no others; what we take, when the schema is strict.
    ...((io === 'output' || def.catchall !== undefined) && { additionalProperties: false }),
  }
}

/** Types that nothing more is said of become one list of types. */
function anyOf(options: readonly JSONSchema[]): JSONSchema {
  const isBare = options.every((option) => Object.keys(option).join() === 'type')
  return isBare ? { type: options.flatMap(({ type }) => type) } : { anyOf: options }
}

function given(facts: JSONSchema): JSONSchema {
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined))
}
