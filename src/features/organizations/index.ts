export { count as countOrganizations, list as listOrganizations } from './repo'
export { organizationRoutes } from './routes'
export { type NewOrganization, newOrganization, organizationChange, organizationOut } from './schema'
export { changeOrganization, readOrganization, slugTaken, toOrganization, toSettings } from './service'
