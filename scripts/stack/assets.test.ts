import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { buildEmbed } from './assets.ts'

const script = buildEmbed(join(import.meta.dirname, '..', '..'))

it('makes an embeddable script of at most 3 KB gzipped', () => {
  expect(gzipSync(script, { level: 9 }).length).toBeLessThanOrEqual(3 * 1024)
})

it('makes it without what a strict policy forbids', () => {
  const text = Buffer.from(script).toString()
  expect(text).not.toMatch(
    /\beval\(|new Function|innerHTML|insertAdjacentHTML|setAttribute\("style"|document\.write|<style/,
  )
  // One classic script, that needs nothing beside it.
  expect(text).not.toMatch(/\bimport\b|\bexport\b|\brequire\(/)
})
