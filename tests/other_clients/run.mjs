// Runs a TypeScript sample, with the names that it leaves to its reader, against the server of a
// test.
//
//     node --experimental-vm-modules run.mjs MODULES SAMPLE
//
// MODULES is the folder that `node_modules` is in. SAMPLE is executed as it stands, after one line
// that makes its `publishMessage` available. PORT is the server's port. Each handled entry is a
// line of output: `handled {fields}`.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { SourceTextModule, SyntheticModule } from 'node:vm'

const [modules, sample] = process.argv.slice(2)
const load = createRequire(resolve(modules, 'here.js'))
const { ModuleKind, ScriptTarget, transpileModule } = load('typescript')
const { Redis } = load('ioredis')

class AtThePort extends Redis {
  constructor(options) {
    super({ ...options, host: '127.0.0.1', port: Number(process.env.PORT) })
  }
}

globalThis.processMessage = async (message) => {
  if (message.for === 'bourn') throw new Error('not by me')
  console.log(`handled ${JSON.stringify(message)}`)
}

const text = readFileSync(sample, 'utf8')
const options = { module: ModuleKind.ESNext, target: ScriptTarget.ESNext }
const { outputText } = transpileModule(text, { compilerOptions: options })
const code = `globalThis.publishMessage = publishMessage;${outputText}`
const main = new SourceTextModule(code, { identifier: sample })
await main.link(() => new SyntheticModule(['default'], function () {
  this.setExport('default', AtThePort)
}))
// The sample has one connection, which is busy while it waits for entries.
setTimeout(async () => {
  for (const order_id of ['node-1', 'node-2', 'node-3']) {
    const id = await globalThis.publishMessage('orders', { order_id, total: '99.99' })
    console.log(`published ${id}`)
  }
}, 500)
await main.evaluate()
