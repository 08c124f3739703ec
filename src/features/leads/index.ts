export { leadRoutes } from './routes'
export { leadDetailOut, leadOut } from './schema'
export { changeLead, getLead, markContacted, markSpam } from './service'
