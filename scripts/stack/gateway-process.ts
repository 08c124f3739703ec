// The gateway in a process of its own: it is on the path of every request, and nothing else shall slow it down.
import { type GatewayOptions, startGateway } from './gateway.ts'
import { serveParent } from './supervisor.ts'

serveParent<GatewayOptions>(startGateway)
