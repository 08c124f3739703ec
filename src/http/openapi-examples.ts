// An example for every body of the OpenAPI that has none of its own: made from its schema, the same each time. Pure.

/** As much of JSON Schema as zod writes. */
export interface JsonSchema {
  $ref?: string
  type?: string | string[]
  format?: string
  example?: unknown
  examples?: unknown[]
  default?: unknown
  const?: unknown
  enum?: unknown[]
  anyOf?: JsonSchema[]
  oneOf?: JsonSchema[]
  allOf?: JsonSchema[]
  properties?: Record<string, JsonSchema>
  items?: JsonSchema
  prefixItems?: JsonSchema[]
  additionalProperties?: JsonSchema | boolean
  minimum?: number
  minLength?: number
}

const formats: Record<string, string> = {
  uuid: '0190a5e2-7c3b-7b8e-9c3e-0f6f2f6c1a11',
  'date-time': '2026-11-20T09:30:00.000Z',
  date: '2026-11-20',
  email: 'ada@example.com',
  uri: 'https://example.com/',
  password: 'a long enough phrase',
}

const MAX_DEPTH = 8

export function exampleOf(schema: JsonSchema, schemas: Record<string, JsonSchema>, depth = 0): unknown {
  if (depth > MAX_DEPTH) return null
  const into = (inner: JsonSchema) => exampleOf(inner, schemas, depth + 1)
  if (schema.example !== undefined) return schema.example
  if (schema.examples?.[0] !== undefined) return schema.examples[0]
  if (schema.$ref !== undefined) return into(schemas[schema.$ref.replace('#/components/schemas/', '')] ?? {})
  if (schema.const !== undefined) return schema.const
  if (schema.enum) return schema.enum[0]
  if (schema.default !== undefined) return schema.default
  if (schema.allOf) return Object.assign({}, ...schema.allOf.map(into))
  const choice = (schema.anyOf ?? schema.oneOf)?.find((option) => option.type !== 'null')
  if (choice) return into(choice)
  const type = Array.isArray(schema.type) ? schema.type.find((one) => one !== 'null') : schema.type
  switch (type) {
    case undefined:
      return null
    case 'object':
      return Object.fromEntries(
        Object.entries(schema.properties ?? {}).map(([name, inner]) => [name, into(inner)]),
      )
    case 'array':
      return schema.prefixItems?.map(into) ?? (schema.items ? [into(schema.items)] : [])
    case 'integer':
    case 'number':
      return schema.minimum ?? 1
    case 'boolean':
      return true
    case 'string':
      return formats[schema.format ?? ''] ?? 'text'.padEnd(schema.minLength ?? 0, '.')
    default:
      return null
  }
}
