export { applyRetention } from './jobs/apply-retention'
export { operationsRoutes } from './routes/operator'
export { retention } from './sweeps/retention'
export { trimLeftovers } from './sweeps/trim'
