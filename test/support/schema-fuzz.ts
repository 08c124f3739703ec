// Values for a JSON Schema, right and wrong ones, and what of an answer its schema does not promise.
import * as fc from 'fast-check'

/** As much of JSON Schema as zod writes. */
export interface Schema {
  $ref?: string
  type?: string | string[]
  format?: string
  pattern?: string
  const?: unknown
  enum?: unknown[]
  anyOf?: Schema[]
  oneOf?: Schema[]
  allOf?: Schema[]
  properties?: Record<string, Schema>
  required?: string[]
  items?: Schema
  prefixItems?: Schema[]
  additionalProperties?: Schema | boolean
  minimum?: number
  maximum?: number
  minLength?: number
  maxLength?: number
}
export type Schemas = Record<string, Schema>

/** What breaks parsers, databases, headers and pages. */
const HOSTILE_TEXTS = [
  '',
  ' ',
  '\u0000',
  'a\u0000b',
  '\ud800',
  'x\udfffy',
  '\u202etxt.exe',
  'a\u200bb\ufeff',
  'line\r\nBcc: eve@evil.test',
  '%',
  "'; drop table leads; --",
  '<script>alert(1)</script>',
  '${7*7}{{7*7}}',
  '../../etc/passwd',
  '😀'.repeat(300),
  'x'.repeat(3000),
  '0000-01-01T00:00:00Z',
  '9999-12-31T23:59:59.999Z',
  '+275760-09-13T00:00:00Z',
  '2026-02-30T00:00:00Z',
  '1e400',
  '-1',
  'null',
  'undefined',
  'true',
  '[]',
]
const hostileText = fc.oneof(
  fc.constantFrom(...HOSTILE_TEXTS),
  fc.string({ maxLength: 60, unit: 'binary' }),
  fc.string({ maxLength: 60, unit: 'grapheme' }),
)
const hostile: fc.Arbitrary<unknown> = fc.oneof(
  hostileText,
  fc.constantFrom(null, true, 0, -1, 1.5, 2 ** 31, 2 ** 53, 1e308, -1e308, 5e-324),
  fc.constantFrom<unknown>([], {}, [null], { ['__proto__']: { role: 'owner' } }),
  fc.jsonValue({ maxDepth: 2 }),
)

/** Of all years that ISO 8601 can write in four digits, the first and the last more often. */
const instant = fc.oneof(
  fc
    .date({ noInvalidDate: true, min: new Date(0), max: new Date('2100-01-01') })
    .map((at) => at.toISOString()),
  fc.constantFrom('0000-01-01T00:00:00Z', '0001-01-01T00:00:00Z', '9999-12-31T23:59:59.999Z'),
)

/** Cursors of our own making, and others that only look like it. */
export function cursorOf(ids: readonly string[]): fc.Arbitrary<string> {
  return fc
    .tuple(fc.oneof(instant, hostileText), fc.oneof(fc.constantFrom(...ids), hostileText))
    .map((parts) =>
      btoa(String.fromCharCode(...new TextEncoder().encode(parts.join('|')))).replaceAll('=', ''),
    )
}

function textOf(schema: Schema, ids: readonly string[]): fc.Arbitrary<string> {
  const { minLength: min = 0, maxLength: max = 200 } = schema
  switch (schema.format ?? '') {
    case 'uuid':
      return fc.constantFrom(...ids)
    case 'date-time':
      return instant
    case 'email':
      return fc.oneof(fc.constant('ada@buyer.test'), fc.emailAddress())
    case 'uri':
      return fc.webUrl()
    default:
      return schema.pattern !== undefined && schema.pattern.length < 200
        ? fc.stringMatching(new RegExp(schema.pattern)).filter((text) => text.length <= max)
        : fc.string({ minLength: min, maxLength: Math.max(min, Math.min(max, 300)), unit: 'grapheme' })
  }
}

function rightOf(schema: Schema, schemas: Schemas, ids: readonly string[]): fc.Arbitrary<unknown> {
  const into = (inner: Schema) => valueOf(inner, schemas, ids)
  if (schema.$ref !== undefined) return into(schemas[schema.$ref.replace('#/components/schemas/', '')] ?? {})
  if (schema.const !== undefined) return fc.constant(schema.const)
  if (schema.enum) return fc.constantFrom(...schema.enum)
  const choices = schema.anyOf ?? schema.oneOf
  if (choices) return fc.oneof(...choices.map(into))
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type
  switch (type ?? 'any') {
    case 'object': {
      const properties = schema.properties ?? {}
      const named = fc.record(
        Object.fromEntries(Object.entries(properties).map(([name, inner]) => [name, into(inner)])),
        { requiredKeys: schema.required ?? [] },
      )
      const extra =
        typeof schema.additionalProperties === 'object'
          ? fc.dictionary(hostileText, into(schema.additionalProperties), { maxKeys: 3 })
          : fc.constant({})
      return fc.tuple(extra, named).map(([more, known]) => ({ ...more, ...(known as object) }))
    }
    case 'array':
      return schema.prefixItems
        ? fc.tuple(...schema.prefixItems.map(into))
        : fc.array(into(schema.items ?? {}), { maxLength: 3 })
    case 'integer':
    case 'number': {
      const { minimum: min = -1000, maximum: max = 100_000 } = schema
      return fc.oneof(fc.integer({ min, max }), fc.constantFrom(min, max, min - 1, max + 1))
    }
    case 'boolean':
      return fc.boolean()
    case 'null':
      return fc.constant(null)
    case 'string':
      return textOf(schema, ids)
    default:
      return hostile
  }
}

/** Mostly what the schema asks for, with something else in any place now and then. `ids` stand for every uuid. */
export function valueOf(schema: Schema, schemas: Schemas, ids: readonly string[]): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 9, arbitrary: rightOf(schema, schemas, ids) }, { weight: 1, arbitrary: hostile })
}

const typeName = (value: unknown) =>
  value === null
    ? 'null'
    : Array.isArray(value)
      ? 'array'
      : Number.isInteger(value)
        ? 'integer'
        : typeof value

/** Every place where a value is not what its schema says; a property that the schema does not name is one. */
export function deviations(value: unknown, schema: Schema, schemas: Schemas, at = '$'): string[] {
  if (schema.$ref !== undefined)
    return deviations(value, schemas[schema.$ref.replace('#/components/schemas/', '')] ?? {}, schemas, at)
  const choices = schema.anyOf ?? schema.oneOf
  if (choices) {
    const found = choices.map((choice) => deviations(value, choice, schemas, at))
    return found.some((list) => list.length === 0) ? [] : (found[0] ?? [])
  }
  if (schema.allOf) return deviations(value, merge(schema, schemas), schemas, at)
  if (schema.enum && !schema.enum.includes(value)) return [`${at} is not one of its values`]
  const types = schema.type === undefined ? [] : [schema.type].flat()
  const actual = typeName(value)
  if (types.length > 0 && !types.includes(actual) && !(actual === 'integer' && types.includes('number')))
    return [`${at} is ${actual}, not ${types.join(' or ')}`]
  if (Array.isArray(value))
    return value.flatMap((item, i) =>
      schema.items ? deviations(item, schema.items, schemas, `${at}[${i}]`) : [],
    )
  if (actual !== 'object' || !schema.properties) return []
  const fields = value as Record<string, unknown>
  const { properties, required = [] } = schema
  return [
    ...required.filter((name) => !(name in fields)).map((name) => `${at}.${name} is missing`),
    ...Object.entries(fields).flatMap(([name, inner]) => {
      const described = properties[name]
      if (described) return deviations(inner, described, schemas, `${at}.${name}`)
      return schema.additionalProperties ? [] : [`${at}.${name} is not described`]
    }),
  ]
}

/** `allOf` as one schema: an object has the properties of all its parts, and null is one only where every part allows it. */
function merge(schema: Schema, schemas: Schemas): Schema {
  if (schema.$ref !== undefined)
    return merge(schemas[schema.$ref.replace('#/components/schemas/', '')] ?? {}, schemas)
  if (!schema.allOf) return schema
  const parts = schema.allOf.map((part) => merge(part, schemas))
  const types = parts.flatMap(({ type }) => (type === undefined ? [] : [[type].flat()]))
  return {
    type: types.reduce((all, some) => all.filter((type) => some.includes(type)), types[0] ?? []),
    properties: Object.assign({}, ...parts.map((part) => part.properties ?? {})) as Schemas,
    required: parts.flatMap((part) => part.required ?? []),
  }
}
