// Fills dist/assets before a deployment; `npm start` does the same by itself.
import { join } from 'node:path'
import { buildAssets } from './stack/assets.ts'
import { say } from './stack/say.ts'

say(`Assets are in ${buildAssets(join(import.meta.dirname, '..'))}.`)
