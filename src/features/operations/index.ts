export { applyRetention } from './jobs/apply-retention'
export { operationsRoutes } from './routes'
export { retention } from './sweeps/retention'
export { trimLeftovers } from './sweeps/trim'
