export { suspectInjection } from './policy/injection'
export { formRoutes } from './routes'
export { ingestMail } from './service/ingest-mail'
