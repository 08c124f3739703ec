export {
  findMember,
  insertOrganization,
  isSlugTaken,
  isTakenSlug,
  trimRefreshTokens,
  trimSessions,
} from './repo'
export { authRoutes, operatorLoginRoutes } from './routes'
